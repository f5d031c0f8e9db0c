"""What an overlay shows, and the order of the legend."""

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.segmentation import NOTHING
from radapter.segmentation.overlay import LONGEST, UNLABELLED, colour, overlay, shares

NAMES = ["sky, heaven", "road", "a name that is far too long to be written on any region"]


def halves(width: int = 40, height: int = 20) -> torch.Tensor:
    labels = torch.zeros(height, width, dtype=torch.int64)
    labels[:, width // 2 :] = 1
    return labels


def test_shares_are_of_all_pixels_largest_first():
    labels = torch.tensor([[2, 2, 0, NOTHING], [2, 0, NOTHING, 1]])
    assert shares(labels) == [(2, 3 / 8), (NOTHING, 2 / 8), (0, 2 / 8), (1, 1 / 8)]


def test_the_image_part_has_its_proportions_and_the_legend_its_right():
    drawn = overlay(Image.new("RGB", (40, 20), "white"), halves(), NAMES)
    assert drawn.height == LONGEST // 2
    assert drawn.width > LONGEST


def test_regions_show_their_class_s_colour_and_lines_between_them():
    drawn = np.asarray(overlay(Image.new("RGB", (40, 20), "black"), halves(), NAMES), dtype=int)
    for x, number in ((10, 0), (LONGEST - 10, 1)):
        assert np.abs(drawn[20, x] - np.array(colour(number)) / 2).max() <= 1
    assert (drawn[20, LONGEST // 2] == 255).all()


def test_the_name_lies_on_its_region():
    image = Image.new("RGB", (40, 20), "black")
    named = np.asarray(overlay(image, halves(), NAMES), dtype=int)
    other = np.asarray(overlay(image, halves(), ["", *NAMES[1:]]), dtype=int)
    y, x = np.nonzero((named != other).any(-1)[:, :LONGEST])
    assert len(x)
    assert x.max() < LONGEST // 2
    assert abs(y.mean() - named.shape[0] / 2) < 4


def test_what_has_no_region_is_grey_and_named_so_in_the_legend():
    labels = halves()
    labels[:, 20:] = NOTHING
    drawn = np.asarray(overlay(Image.new("RGB", (40, 20), "black"), labels, NAMES), dtype=int)
    assert np.abs(drawn[20, LONGEST - 10] - 0.75 * np.array(UNLABELLED)).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 2), (1500, 1000)])
def test_images_of_any_shape_are_drawn(size: tuple[int, int]):
    labels = torch.zeros(size[1], size[0], dtype=torch.int32)
    drawn = overlay(Image.new("RGB", size), labels, NAMES)
    assert drawn.mode == "RGB"
    assert drawn.height >= round(size[1] * LONGEST / max(size))


def test_classes_that_do_not_fit_in_the_legend_are_counted():
    labels = torch.arange(200).view(10, 20)
    drawn = overlay(Image.new("RGB", (20, 10)), labels, [f"class {number}" for number in range(200)])
    assert drawn.height == LONGEST // 2


def seen_by(rgb: tuple[int, int, int], matrix: list[list[float]]) -> np.ndarray:
    return np.array(matrix) @ np.array(rgb)


# Viénot et al. 1999, on linear-ish values: good enough to tell that two colours stay apart
PROTAN = [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]
DEUTAN = [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]


@pytest.mark.parametrize("vision", [PROTAN, DEUTAN, np.eye(3).tolist()])
def test_the_first_eight_colours_stay_apart_in_any_vision(vision):
    seen = [seen_by(colour(number), vision) for number in range(8)]
    apart = [np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 20


def test_every_class_has_its_own_colour():
    assert len({colour(number) for number in range(300)}) == 300
    lightness = [colorsys.rgb_to_hls(*(value / 255 for value in colour(n)))[1] for n in range(16, 60)]
    assert min(lightness) > 0.2
