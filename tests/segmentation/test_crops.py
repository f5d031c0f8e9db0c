"""Crops of all regions at once equal one region at a time, and worked cases."""

import numpy as np
import pytest
import torch
from PIL import Image
from reference import regions

from radapter.segmentation import region_crops, tight_boxes
from radapter.segmentation.crops import CropStyle, pixels_of

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
AS_IS = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def crops_of(image, masks, *, size, mean, std, **style):
    return region_crops(image, masks, size=size, mean=mean, std=std, style=CropStyle(**style))


def random_image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_boxes_by_hand():
    masks = torch.zeros(3, 4, 6, dtype=torch.bool)
    masks[0, 1, 2] = True
    masks[1, 0, 5] = masks[1, 3, 1] = True
    assert tight_boxes(masks).tolist() == [[2, 1, 3, 2], [1, 0, 6, 4], [0, 0, 0, 0]]


def test_boxes_equal_looking_at_every_pixel():
    masks = regions.random_masks(40, 33, 21, seed=3)
    assert tight_boxes(masks).tolist() == [regions.box(mask) for mask in masks]


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [8, 48])
def test_crops_equal_one_region_at_a_time(size: int, antialias: bool):
    image, masks = random_image(70, 90), regions.random_masks(25, 70, 90, seed=4)
    fill = (0.1, 0.9, 0.5)
    crops = crops_of(image, masks, size=size, mean=MEAN, std=STD, fill=fill, antialias=antialias)
    for number in crops.valid.nonzero()[:, 0].tolist():
        expected = regions.crop(image, masks[number], size=size, fill=fill, antialias=antialias)
        if antialias:
            expected = expected.clamp(0, 1)
        mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
        torch.testing.assert_close(crops.pixels[number], (expected - mean) / std, rtol=0, atol=1e-11)
        assert torch.equal(crops.masks[number], regions.crop_mask(masks[number], size=size))


def test_batches_of_regions_change_nothing(monkeypatch: pytest.MonkeyPatch):
    image, masks = random_image(50, 60), regions.random_masks(30, 50, 60, seed=5)
    whole = crops_of(image, masks, size=16, mean=MEAN, std=STD)
    monkeypatch.setattr("radapter.segmentation.crops._BUDGET", 500)
    parts = crops_of(image, masks, size=16, mean=MEAN, std=STD)
    torch.testing.assert_close(parts.pixels, whole.pixels, rtol=0, atol=1e-12)
    assert torch.equal(parts.masks, whole.masks)


def test_a_reduction_is_antialiased_as_pillow_s():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    whole = torch.ones(1, 200, 300, dtype=torch.bool)
    ours = crops_of(pixels_of(image), whole, size=32, **AS_IS).pixels[0]
    pillow = pixels_of(image.resize((32, 32), Image.Resampling.BICUBIC)) / 255
    assert (
        ours - pillow
    ).abs().max() < 1.6 / 255  # Pillow rounds to 8 bits between the passes and after them
    aliased = crops_of(pixels_of(image), whole, size=32, antialias=False, **AS_IS).pixels[0]
    assert (aliased - pillow).abs().max() > 0.3


def test_a_crop_by_hand():
    image = torch.zeros(3, 3, 4)
    image[0, 1, 1], image[0, 1, 2] = 0.25, 0.75
    mask = torch.zeros(1, 3, 4)
    mask[0, 1, 1], mask[0, 1, 2] = 0.41, 0.4  # the second is not above the threshold
    crops = crops_of(image, mask, size=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 1.0))
    assert crops.boxes.tolist() == [[1, 1, 2, 2]]
    assert crops.pixels[0, 0].tolist() == [[-0.5, -0.5], [-0.5, -0.5]]
    assert crops.pixels[0, 1].eq(-2).all()
    assert crops.pixels[0, 2].eq(-0.5).all()
    assert crops.masks.all()


def test_the_background_shows_the_fill():
    image = torch.full((3, 8, 8), 0.2)
    mask = torch.eye(8, dtype=torch.bool)[None]
    fill = (1.0, 0.0, 0.6)
    crops = crops_of(image, mask, size=8, fill=fill, **AS_IS)
    for channel, colour in enumerate(fill):
        expected = torch.full((8, 8), colour).masked_fill(mask[0], 0.2)
        torch.testing.assert_close(crops.pixels[0, channel], expected, rtol=0, atol=1e-6)


def test_the_threshold_decides_what_belongs_to_a_region():
    masks = torch.tensor([[[0.3, 0.6]]])
    image = torch.zeros(3, 1, 2)
    assert crops_of(image, masks, size=4, **AS_IS).boxes.tolist() == [[1, 0, 2, 1]]
    assert crops_of(image, masks, size=4, threshold=0.2, **AS_IS).boxes.tolist() == [[0, 0, 2, 1]]
    assert not crops_of(image, masks, size=4, threshold=0.7, **AS_IS).valid.any()


def test_an_empty_region_is_invalid_and_shows_the_fill_alone():
    masks = torch.zeros(2, 5, 5, dtype=torch.bool)
    masks[1, 2, 2] = True
    crops = crops_of(torch.rand(3, 5, 5), masks, size=4, mean=MEAN, std=STD)
    assert crops.valid.tolist() == [False, True]
    assert crops.pixels[0].eq(0).all()
    assert not crops.masks[0].any()


def test_no_region_gives_no_crop():
    crops = crops_of(torch.rand(3, 5, 5), torch.zeros(0, 5, 5), size=4, mean=MEAN, std=STD)
    assert crops.pixels.shape == (0, 3, 4, 4)
    assert crops.valid.shape == (0,)


def test_ovseg_compat_is_what_its_release_computes():
    image, masks = random_image(60, 80, 1), regions.random_masks(12, 60, 80, seed=6)
    crops = crops_of(image, masks, size=16, mean=MEAN, std=STD, ovseg_compat=True)
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
    for number in crops.valid.nonzero()[:, 0].tolist():
        # normalised first, the background 0, then resized without antialiasing
        expected = regions.crop((image - mean) / std, masks[number], size=16, fill=(0, 0, 0), antialias=False)
        torch.testing.assert_close(crops.pixels[number], expected, rtol=0, atol=1e-11)
    ours = crops_of(image, masks, size=16, mean=MEAN, std=STD)
    assert (ours.pixels - crops.pixels).abs().max() > 0.1


def test_half_precision_masks_give_the_same_crops():
    image, masks = random_image(40, 30), regions.random_masks(8, 40, 30, seed=7)
    one, other = (crops_of(image, m, size=12, mean=MEAN, std=STD) for m in (masks, masks.half()))
    assert torch.equal(one.pixels, other.pixels)


def test_a_one_pixel_image_is_a_crop_of_one_colour():
    crops = crops_of(
        torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1), torch.ones(1, 1, 1), size=3, **AS_IS
    )
    assert crops.pixels.shape == (1, 3, 3, 3)
    torch.testing.assert_close(crops.pixels[0, :, 1, 1] * 255, torch.tensor([10.0, 20.0, 30.0]))


@pytest.mark.parametrize(
    ("image", "masks", "wrong"),
    [
        (torch.zeros(3, 4, 5), torch.zeros(1, 5, 4), r"masks must be \(Q, 4, 5\)"),
        (torch.zeros(4, 5), torch.zeros(1, 4, 5), r"image must be \(3, H, W\)"),
        (torch.zeros(3, 4, 5, dtype=torch.int64), torch.zeros(1, 4, 5), "uint8 or floating"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(image, masks, wrong: str):
    with pytest.raises(ValueError, match=wrong):
        crops_of(image, masks, size=4, mean=MEAN, std=STD)


def test_ovseg_compat_takes_no_fill_of_its_own():
    with pytest.raises(ValueError, match="Leave one out"):
        crops_of(
            torch.zeros(3, 2, 2),
            torch.ones(1, 2, 2),
            size=4,
            mean=MEAN,
            std=STD,
            fill=(0, 0, 0),
            ovseg_compat=True,
        )


@pytest.mark.parametrize(("expand", "square"), [(1.0, True), (1.25, True), (1.5, False), (1.0, False)])
def test_frames_equal_one_region_at_a_time(expand: float, square: bool):
    image, masks = random_image(30, 41, 2), regions.random_masks(12, 30, 41, seed=8)
    masks = masks[masks.flatten(1).any(1)]
    fill = (0.2, 0.4, 0.6)
    crops = crops_of(image, masks, size=16, fill=fill, expand=expand, square=square, **AS_IS)
    for number, mask in enumerate(masks):
        cut = regions.framed(image, mask, expand=expand, square=square, fill=fill)
        expected = torch.nn.functional.interpolate(cut[None], (16, 16), mode="bicubic", antialias=True)[0]
        # what of it is rounding: float64 sums in another order
        assert torch.allclose(crops.pixels[number], expected.clamp(0, 1), atol=1e-12)
    assert crops.boxes.tolist() == [regions.box(mask) for mask in masks]  # of the regions, not of the frames


def test_a_square_frame_keeps_proportions():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 3:5] = True  # 8 x 2 pixels
    crops = crops_of(torch.ones(3, 8, 8), masks, size=8, fill=(0.0, 0.0, 0.0), square=True, **AS_IS)
    assert crops.pixels[0, 0].tolist() == masks[0].float().tolist()
    assert torch.equal(crops.masks[0], masks[0])


def test_a_frame_smaller_than_the_box_is_refused():
    with pytest.raises(ValueError, match=r"expand must be at least 1\. Got 0\.9"):
        crops_of(torch.ones(3, 4, 4), torch.ones(1, 4, 4), size=4, expand=0.9, **AS_IS)
