"""Regions as a training set."""

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data import PairedMaskDataset
from radapter.data.images.sequences import ArrayImages
from radapter.data.masks.label_maps import ArrayMaps
from radapter.errors import DataError
from radapter.segmentation.training_regions import MaskRegions, SquareRegions, on_colour

IMAGE = torch.arange(3 * 4 * 4, dtype=torch.uint8).view(1, 3, 4, 4)
LABELS = torch.tensor([[[0, 0, 9, 9], [0, 1, 1, 9], [2, 1, 1, 9], [9, 9, 9, 9]]])


@pytest.fixture
def masked() -> PairedMaskDataset:
    """One image of 4 x 4 with three classes: three, four and one pixel."""
    return PairedMaskDataset(
        ArrayImages(IMAGE, name="p"), ArrayMaps(LABELS, name="m"), ["sky", "car", "dot"], 9, name="tiny"
    )


def test_a_region_is_its_tight_box_and_its_mask(masked):
    regions = MaskRegions(masked, min_pixels=1)
    assert [regions.nouns[label] for label in regions.labels] == ["sky", "car", "dot"]
    sky = np.asarray(regions.cutout(0))
    assert sky.shape == (2, 2, 4)
    assert sky[..., 3].tolist() == [[255, 255], [255, 0]]
    assert np.array_equal(sky[..., :3], IMAGE[0, :, :2, :2].permute(1, 2, 0))
    assert regions.groups.tolist() == [0, 0, 0]
    assert regions.keys.unique().tolist() == masked.keys.tolist()
    assert regions.where(1).endswith("car")
    assert np.asarray(regions.image(0))[1, 1].tolist() == [0, 0, 0]


def test_small_regions_and_excluded_nouns_are_not_trained_on(masked):
    assert MaskRegions(masked, min_pixels=2).labels.tolist() == [0, 1]
    left = SquareRegions(MaskRegions(masked, min_pixels=1), size=8, fill=(0, 0, 0), without=("car",))
    assert left.labels.tolist() == [0, 2]
    assert left.nouns == ("sky", "car", "dot")
    with pytest.raises(DataError, match="None of the 3 in 'tiny' is left without car, dot, sky"):
        SquareRegions(
            MaskRegions(masked, min_pixels=1), size=8, fill=(0, 0, 0), without=("sky", "car", "dot")
        )
    with pytest.raises(DataError, match="'tiny' has none of 5 pixels or more"):
        MaskRegions(masked, min_pixels=5)


def test_a_region_is_stretched_to_a_square_on_the_fill_colour(masked):
    squares = SquareRegions(MaskRegions(masked, min_pixels=1), size=6, fill=(1.0, 0.5, 0.0))
    assert squares.image(0).size == (6, 6)
    assert np.asarray(squares.image(0))[5, 5].tolist() == pytest.approx(
        [255, 128, 0], abs=30
    )  # the kernel overshoots


def test_what_is_transparent_shows_the_colour():
    cutout = Image.new("RGBA", (1, 2), (10, 20, 30, 255))
    cutout.putpixel((0, 1), (10, 20, 30, 0))
    assert [on_colour(cutout, (1.0, 0.0, 0.0)).getpixel((0, y)) for y in (0, 1)] == [
        (10, 20, 30),
        (255, 0, 0),
    ]
