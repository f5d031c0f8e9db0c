"""Real photographs with ground truth: CamVid."""

import io

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from radapter.segmentation import (
    FelzenszwalbProposer,
    Proposals,
    RegionClassifier,
    label_regions,
    segment,
)

CLASSES = [
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
]


@pytest.fixture(scope="module")
def streets(real_data):
    """Two street scenes of 240 x 180 and their label maps."""
    table = pyarrow.parquet.read_table(real_data / "camvid" / "val.parquet").slice(0, 2)

    def images_of(column):
        return [Image.open(io.BytesIO(entry["bytes"])) for entry in table[column].to_pylist()]

    images = [image.convert("RGB") for image in images_of("image")]
    return images, [torch.from_numpy(np.asarray(mask).astype(np.int64)) for mask in images_of("mask")]


def test_oracle_regions_of_true_classes_are_the_ground_truth(streets, encoder):
    classifier = RegionClassifier(encoder, CLASSES, ["a photo of a {}."])
    proposals = []
    for labels in streets[1]:
        masks, values = label_regions(labels, ignored=(11,))
        scores = torch.eye(len(CLASSES))[values]
        proposals.append(Proposals(masks.half(), torch.ones(len(masks)), scores))
    # the proposer's word alone: CLIP has weight 0
    found = segment(streets[0], proposals, classifier, ensemble="ovseg", weight=0.0)
    for labels, result in zip(streets[1], found, strict=True):
        assert torch.equal(result.labels, torch.where(labels == 11, -1, labels))


def test_felzenszwalb_s_regions_label_every_pixel(streets, encoder):
    proposer = FelzenszwalbProposer()
    proposals = [proposer(image) for image in streets[0]]
    assert all(50 <= len(regions) <= 100 for regions in proposals)
    classifier = RegionClassifier(encoder, CLASSES, ["a photo of a {}."])
    for result in segment(streets[0], proposals, classifier):
        assert result.labels.min() >= 0
        assert result.labels.shape == (180, 240)
