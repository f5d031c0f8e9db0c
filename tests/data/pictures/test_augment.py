"""Crops and flips depend on (seed, epoch, key) and nothing else."""

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data.pictures.augment import draws, random_crop, random_flip

_KEYS = torch.tensor([3, -7, 2**62])


def _ramp(width, height):
    across = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    down = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    return Image.fromarray(np.stack([across, down, across], -1).astype(np.uint8))


def test_draws_depend_on_the_key_not_the_place():
    assert torch.equal(draws(0, 1, _KEYS)[2], draws(0, 1, _KEYS[2:])[0])


def test_draws_change_with_seed_and_epoch():
    assert (
        len({tuple(draws(seed, epoch, _KEYS).flatten().tolist()) for seed in (0, 1) for epoch in (0, 1)}) == 4
    )


def test_whole_crop_of_a_square_changes_nothing():
    image = _ramp(16, 16)
    crop = random_crop(image, [0.5] * 5, size=16, scale=(1, 1), ratio=(1, 1))
    assert np.array_equal(np.asarray(crop), np.asarray(image))


def test_crop_is_a_square_of_the_wanted_size():
    assert random_crop(_ramp(40, 25), [0.1, 0.9, 0.3, 0.7, 0.2], size=17).size == (17, 17)


def test_place_moves_the_crop():
    image = _ramp(64, 64)
    crops = [
        random_crop(image, [0.0, 0.5, left, 0.5, 0.0], size=8, scale=(0.25, 0.25)) for left in (0.0, 0.999)
    ]
    assert crops[0].getpixel((0, 4))[0] < 20
    assert crops[1].getpixel((7, 4))[0] > 235


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 2)])
def test_smallest_pictures_can_be_cropped(size):
    for draw in torch.rand(20, 5, generator=torch.Generator().manual_seed(0)).tolist():
        assert random_crop(_ramp(*size), draw, size=4, scale=(0.08, 1.0)).size == (4, 4)


def test_half_are_flipped():
    image = _ramp(2, 1)  # dark left, bright right
    first = [random_flip(image, draw).getpixel((0, 0))[0] for draw in draws(0, 0, torch.arange(400)).tolist()]
    assert 160 < first.count(255) < 240  # four standard deviations
