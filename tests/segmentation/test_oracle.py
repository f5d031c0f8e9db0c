"""Ground-truth regions."""

import pytest
import torch
from PIL import Image

from radapter.errors import DataError
from radapter.segmentation import OracleProposer, label_regions

LABELS = torch.tensor([[0, 0, 255], [7, 0, 7]])


def test_a_label_map_gives_one_region_a_class():
    masks, values = label_regions(LABELS, ignored=(255,))
    assert values.tolist() == [0, 7]
    assert masks.int().tolist() == [[[1, 1, 0], [0, 1, 0]], [[0, 0, 0], [1, 0, 1]]]


def test_a_map_of_ignored_labels_alone_gives_no_region():
    masks, values = label_regions(torch.full((2, 3), 255), ignored=(255,))
    assert masks.shape == (0, 2, 3)
    assert len(values) == 0


def test_the_oracle_gives_its_masks_and_classes():
    masks, _ = label_regions(LABELS)
    scores = torch.eye(3)
    proposals = OracleProposer(masks, class_scores=scores)(Image.new("RGB", (3, 2)))
    assert torch.equal(proposals.masks, masks.half())
    assert torch.equal(proposals.class_scores, scores)


def test_an_image_of_another_size_is_refused():
    with pytest.raises(DataError, match=r"2 x 3\. They have 3 x 2"):
        OracleProposer(label_regions(LABELS)[0])(Image.new("RGB", (2, 3)))
