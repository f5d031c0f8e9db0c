"""Felzenszwalb's segments: a cover, thinned out, bounded in number."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from reference import regions
from skimage.segmentation import felzenszwalb

from radapter.errors import ConfigError, MissingExtraError
from radapter.segmentation import FelzenszwalbProposer


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(
        0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8
    )
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def reference(image: Image.Image, most: int) -> torch.Tensor:
    masks = []
    for scale in (100, 300, 900):
        labels = felzenszwalb(np.asarray(image), scale=scale, sigma=0.8, min_size=20, channel_axis=-1)
        masks += [torch.from_numpy(labels == label) for label in range(labels.max() + 1)]
    masks.sort(key=lambda mask: -int(mask.sum()))
    return torch.stack([masks[number] for number in regions.kept(masks, 0.8)[:most]])


@pytest.mark.parametrize("most", [100, 12])
def test_segments_equal_those_of_a_slow_union(most: int):
    image = noise(60, 44)
    masks = FelzenszwalbProposer(max_regions=most)(image).masks
    expected = reference(image, most)
    if not expected.any(0).all():
        expected = torch.cat([expected[: most - 1], ~expected[: most - 1].any(0, keepdim=True)])
    assert torch.equal(masks, expected.half())


@pytest.mark.parametrize("most", [1, 2, 5, 100])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (2, 2), (64, 48)])
def test_regions_cover_every_image_and_keep_to_the_number(size: tuple[int, int], most: int):
    proposals = FelzenszwalbProposer(max_regions=most)(noise(*size))
    assert 1 <= len(proposals) <= most
    assert proposals.masks.shape[1:] == size[::-1]
    assert proposals.masks.amax(0).eq(1).all()


def test_masks_are_half_precision_and_of_0_and_1():
    proposals = FelzenszwalbProposer()(noise(40, 30))
    assert proposals.masks.dtype == torch.float16
    assert proposals.masks.unique().tolist() == [0, 1]
    assert proposals.objectness.eq(1).all()
    assert proposals.class_scores is None


def test_two_halves_of_an_image_are_found():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 220
    masks = FelzenszwalbProposer()(Image.fromarray(pixels)).masks
    halves = torch.zeros(2, 40, 60)
    halves[0, :, :30] = halves[1, :, 30:] = 1
    best = [max(regions.iou(half.bool(), mask.bool()) for mask in masks) for half in halves]
    assert min(best) > 0.9


def test_a_mode_other_than_rgb_is_converted():
    image = noise(40, 30).convert("L")
    assert torch.equal(
        FelzenszwalbProposer()(image).masks, FelzenszwalbProposer()(image.convert("RGB")).masks
    )


@pytest.mark.parametrize(
    "wrong", [{"scales": ()}, {"scales": (0,)}, {"max_regions": 0}, {"max_overlap": 0.4}]
)
def test_an_argument_out_of_range_is_refused(wrong: dict):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FelzenszwalbProposer(**wrong)


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtraError, match=r"radapter\[segmentation\]"):
        FelzenszwalbProposer()
