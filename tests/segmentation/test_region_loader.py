"""Regions of masked images in batches."""

from functools import partial

import pytest
import torch

from radapter.data import Memory, PairedMaskDataset, open_masks
from radapter.data.images.sequences import ArrayImages
from radapter.data.masks.label_maps import ArrayMaps
from radapter.segmentation import Proposals, region_crops
from radapter.segmentation.felzenszwalb import FelzenszwalbProposer
from radapter.segmentation.region_loader import RegionLoader


def giving(masks):
    return lambda image: Proposals(masks.half(), torch.ones(len(masks)))


CROP = partial(region_crops, size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class Counting:
    """A proposer that counts its calls."""

    def __init__(self) -> None:
        self.asked, self._proposer = 0, FelzenszwalbProposer(min_size=60)

    def __call__(self, image):
        self.asked += 1
        return self._proposer(image)


def scenes(size: int = 6) -> PairedMaskDataset:
    return open_masks({"world": "scenes", "size": size, "background": False})


def test_regions_of_an_image_stay_together_proposals_before_true_ones():
    loader = RegionLoader(scenes(), FelzenszwalbProposer(min_size=60), CROP, batch_size=20)
    seen = 0
    for batch in loader:
        rows = 0
        for image, proposed, true in batch.of_images():
            assert (proposed.start, true.start) == (rows, proposed.stop)
            assert proposed.stop - proposed.start == image.cells.shares.shape[1] == len(image.shares)
            assert true.stop - true.start == len(image.true.classes)
            assert image.number == seen
            rows, seen = true.stop, seen + 1
        assert rows == len(batch.pixels) == len(batch.valid)
    assert seen == 6


@pytest.mark.parametrize(("cache_mib", "asked"), [(None, 12), (0.001, 12), (0.2, 7), (64, 6)])
def test_proposals_are_made_once_where_memory_allows_and_passes_are_alike(cache_mib, asked):
    proposer = Counting()
    memory = None if cache_mib is None else Memory(cache_mib)
    loader = RegionLoader(scenes(), proposer, CROP, batch_size=20, memory=memory)
    first, second = (torch.cat([batch.pixels for batch in loader]) for _ in range(2))
    assert torch.equal(first, second)
    assert proposer.asked == asked


def test_shares_are_of_all_pixels_of_a_region():
    labels = torch.tensor([[[0, 0, 1, 9], [0, 0, 9, 9]]])
    data = PairedMaskDataset(
        ArrayImages(torch.zeros(1, 3, 2, 4, dtype=torch.uint8), name="p"),
        ArrayMaps(labels, name="m"),
        ["a", "b"],
        9,
    )
    masks = torch.tensor([[[1, 1, 1, 1], [1, 1, 1, 1]], [[0, 0, 1, 1], [0, 0, 0, 0]]]).bool()
    (batch,) = RegionLoader(data, giving(masks), CROP, batch_size=1)
    (image,) = batch.images
    assert image.shares.tolist() == [[0.5, 0.125], [0.0, 0.5]]
    assert image.true.classes.tolist() == [0, 1]
    assert image.true.pixels.tolist() == [4, 1]
    assert image.cells.named(image.shares).tolist() == [0, 1]


def test_an_image_without_regions_is_counted_as_given_no_class():
    (batch,) = RegionLoader(scenes(1), giving(torch.zeros(0, 48, 48)), CROP, batch_size=1)
    (image,) = batch.images
    assert set(image.cells.named(image.shares).tolist()) == {20}  # of 20 classes none
    assert len(batch.pixels) == len(image.true.classes) > 0
