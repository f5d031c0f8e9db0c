"""Crops and flips depend on (seed, epoch, key) and nothing else."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop

from radapter.data.images.augment import CROP_SCALE, Augmentation, crop_box, draws

_KEYS = torch.tensor([3, -7, 2**62])


def _ramp(width, height):
    across = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    down = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    return Image.fromarray(np.stack([across, down, across], -1).astype(np.uint8))


def cropped(image, draw, *, size, scale=CROP_SCALE):
    return Augmentation(size, scale, flip=False)(image, draw)


def test_draws_depend_on_the_key_not_the_place():
    assert torch.equal(draws(0, 1, _KEYS)[2], draws(0, 1, _KEYS[2:])[0])


def test_draws_change_with_seed_and_epoch():
    assert (
        len({tuple(draws(seed, epoch, _KEYS).flatten().tolist()) for seed in (0, 1) for epoch in (0, 1)}) == 4
    )


def test_whole_crop_of_a_square_changes_nothing():
    image = _ramp(16, 16)
    crop = cropped(image, [0.5] * 5, size=16, scale=(1, 1))
    assert np.array_equal(np.asarray(crop), np.asarray(image))


def test_crop_is_a_square_of_the_wanted_size():
    assert cropped(_ramp(40, 25), [0.1, 0.9, 0.3, 0.7, 0.2], size=17).size == (17, 17)


def test_place_moves_the_crop():
    image = _ramp(64, 64)
    crops = [cropped(image, [0.0, 0.5, left, 0.5, 0.0], size=8, scale=(0.25, 0.25)) for left in (0.0, 0.999)]
    assert crops[0].getpixel((0, 4))[0] < 20
    assert crops[1].getpixel((7, 4))[0] > 235


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 2)])
def test_smallest_images_can_be_cropped(size):
    for draw in torch.rand(20, 5, generator=torch.Generator().manual_seed(0)).tolist():
        assert cropped(_ramp(*size), draw, size=4, scale=(0.08, 1.0)).size == (4, 4)


_SCALES = [(0.9, 1.0), (0.5, 0.9), (0.08, 1.0), (0.9, 0.9), (1.0, 1.0)]


def _boxes(width, height, scale, count):
    rows = draws(0, 0, torch.arange(count)).tolist()
    left, top, right, bottom = np.array([crop_box(width, height, row, scale=scale) for row in rows]).T
    assert min(left.min(), top.min()) >= 0
    assert right.max() <= width
    assert bottom.max() <= height
    return right - left, bottom - top


def _moments(width, height, across, down):
    area, log_aspect = across * down / (width * height), np.log(across / down)
    whole = (across.round() == width) & (down.round() == height)
    figures = np.stack([area, area**2, log_aspect, np.abs(log_aspect), np.abs(log_aspect) > 0.1, whole])
    return figures.mean(1), figures.std(1) / np.sqrt(len(area))


@pytest.mark.parametrize("scale", _SCALES)
@pytest.mark.parametrize(
    "size", [(224, 224), (400, 300), (500, 333), (333, 500), (1200, 300), (7, 5), (1, 1)]
)
def test_every_crop_has_its_area_in_the_stated_range(size, scale):
    across, down = _boxes(*size, scale, 2000)
    area = across * down / (size[0] * size[1])
    assert area.min() >= scale[0] - 1e-12  # rounding of doubles
    assert area.max() <= scale[1] + 1e-12


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.08, 1.0)])
@pytest.mark.parametrize("size", [(1000, 1000), (1024, 768), (768, 1024)])
def test_crops_are_distributed_as_those_of_torchvision(size, scale):
    torch.manual_seed(0)
    image = torch.empty(1, size[1], size[0])
    theirs = np.array(
        [RandomResizedCrop.get_params(image, scale, (3 / 4, 4 / 3))[:1:-1] for _ in range(20_000)]
    )
    expected, error = _moments(*size, *theirs.T.astype(float))
    found, _ = _moments(*size, *_boxes(*size, scale, 20_000))
    # Five standard errors of a difference; boxes are not rounded to whole pixels, which is 1 in 1,000 here.
    assert np.all(np.abs(found - expected) <= 5 * np.sqrt(2) * error + 1e-4)


def test_crops_of_a_square_have_the_published_figures():
    area, _, _, log_aspect, beyond, _ = _moments(224, 224, *_boxes(224, 224, (0.9, 1.0), 20_000))[0]
    assert (round(area, 3), round(log_aspect, 3), round(beyond, 2)) == (0.942, 0.032, 0.01)


def test_half_are_flipped():
    image = _ramp(2, 1)  # dark left, bright right
    flip = Augmentation(2, crop_scale=None)
    first = [flip(image, draw).getpixel((0, 0))[0] for draw in draws(0, 0, torch.arange(400)).tolist()]
    assert 160 < first.count(255) < 240  # four standard deviations
