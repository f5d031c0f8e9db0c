"""Regions cut out of their image, the background filled, all resized to a tower's input at once.

Each region's box is stretched to a square, as OVSeg does (Liang et al., CVPR 2023, `open_vocab_seg/modeling/
clip_adapter/adapter.py` of its release). With m the mask and f the fill colour, a crop is R (m x + (1 - m) f) C^T, R
and C the weights of `resampling`. Their rows sum to 1, so this is f + R m (x - f) C^T, and padding costs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from radapter.segmentation.resampling import antialiased_weights, nearest_index, plain_weights

THRESHOLD = 0.4
Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_BUDGET = (
    1 << 18
)  # pixels of padded crops in one product: boxes of like size, so that little of it is padding


@final
@dataclass(frozen=True)
class CropStyle:
    """How regions are cut out and resized.

    Attributes:
        threshold: A pixel is the region's if its mask is above it.
        fill: Colour of the background, [0, 1]; None for the tower's mean, which the tower sees as 0.
        antialias: Whether a reduction averages over all pixels, as Pillow does; crops then stay within [0, 1].
            Without it four neighbours make a pixel, however large the region.
        ovseg_compat: Crops as OVSeg's release makes them: no antialiasing, the mean as the fill, and the overshoot
            of the cubic kernel left in. `antialias` is then ignored.
        expand: Factor >= 1 on the sides of boxes, around their middle; beyond the image lies the fill.
        square: Whether boxes are widened to squares, which keeps proportions; otherwise they are stretched.

    Raises:
        ValueError: `expand` is below 1, or `ovseg_compat` with a fill of its own.
    """

    threshold: float = THRESHOLD
    fill: Colour | None = None
    antialias: bool = True
    ovseg_compat: bool = False
    expand: float = 1.0
    square: bool = False

    def __post_init__(self) -> None:
        if not self.expand >= 1:
            raise ValueError(f"expand must be at least 1. Got {self.expand}. Use 1 for the tight box.")
        if self.ovseg_compat and self.fill is not None:
            raise ValueError(
                f"ovseg_compat fills with the tower's mean. Got fill {self.fill}. Leave one of them out."
            )


PLAIN = CropStyle()
"""The default style."""


class RegionCrops(NamedTuple):
    """Q regions of one image as a tower takes them.

    pixels: (Q, 3, S, S), normalised; only the fill if a region is not valid. masks: (Q, S, S), bool, the region's
    pixels by nearest neighbour. valid: (Q,), bool, whether the region has a pixel. boxes: (Q, 4), int64, as
    `tight_boxes`.
    """

    pixels: Tensor
    masks: Tensor
    valid: Tensor
    boxes: Tensor


def region_crops(
    image: Tensor, masks: Tensor, *, size: int, mean: Colour, std: Colour, style: CropStyle = PLAIN
) -> RegionCrops:
    """Cuts every region of an image out and resizes it to a tower's input, by one batched resize.

    Args:
        image: (3, H, W), uint8, or floating point in [0, 1].
        masks: (Q, H, W), floating point in [0, 1], or bool.
        size: S, height and width of the tower's input.
        mean: The tower subtracts it from pixels in [0, 1].
        std: The tower then divides by it.
        style: Background, resize and frame.

    Returns:
        Crops in float32, or float64 if the image is.

    Raises:
        ValueError: Shapes do not fit.
    """
    _check(image, masks)
    antialias = style.antialias and not style.ovseg_compat
    dtype = image.dtype if image.dtype == torch.float64 else torch.float32
    binary = masks if masks.dtype == torch.bool else masks > style.threshold
    boxes = tight_boxes(binary)
    valid = boxes[:, 2] > boxes[:, 0]
    frames = _frames(boxes, expand=style.expand, square=style.square)
    weigh = antialiased_weights if antialias else plain_weights
    middle, width, background = (
        torch.tensor(colour, dtype=dtype, device=image.device)[:, None, None]
        for colour in (mean, std, mean if style.fill is None else style.fill)
    )
    contrast = (image.to(dtype) / 255 if image.dtype == torch.uint8 else image.to(dtype)) - background
    pixels = background[None].expand(len(masks), 3, size, size).contiguous()
    shown = binary.new_zeros(len(masks), size, size)
    for rows in _batches(frames, valid):
        (y, has_y, heights), (x, has_x, widths) = _grid(frames[rows], image.shape[1], image.shape[2])
        inside = binary[rows[:, None, None], y[:, :, None], x[:, None, :]]  # n, h, w
        inside = inside & has_y[:, :, None] & has_x[:, None, :]
        patch = contrast[:, y[:, :, None], x[:, None, :]].mul_(inside).transpose(0, 1)  # n, 3, h, w
        down = weigh(heights, size, span=patch.shape[2], dtype=dtype)
        across = weigh(widths, size, span=patch.shape[3], dtype=dtype)
        pixels[rows] += down[:, None] @ patch @ across[:, None].mT
        nearest = nearest_index(heights, size)[:, :, None], nearest_index(widths, size)[:, None, :]
        shown[rows] = inside[torch.arange(len(rows), device=rows.device)[:, None, None], *nearest]
    if antialias:
        pixels.clamp_(0, 1)
    return RegionCrops(pixels.sub_(middle).div_(width), shown, valid, boxes)


def tight_boxes(masks: Tensor) -> Tensor:
    """The smallest box around each mask: (Q, H, W) bool -> (Q, 4), int64, zeros if the mask is empty.

    A box is left, top, right, bottom, the last two exclusive.
    """
    edges = []
    for axis in (1, 2):  # columns, then rows
        hit = masks.any(axis)
        line = hit.to(torch.uint8)
        first = line.argmax(1)
        last = line.shape[1] - line.flip(1).argmax(1)
        edges.append(torch.where(hit.any(1), torch.stack([first, last]), 0))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], 1)


def pixels_of(image: Image) -> Tensor:
    """Converts an image to (3, H, W), uint8, RGB, as `region_crops` takes it."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _frames(boxes: Tensor, *, expand: float, square: bool) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2]
    wanted = sides.max(1, keepdim=True).values.expand(-1, 2) if square else sides
    wanted = (wanted * expand).round().long()
    start = boxes[:, :2] - (wanted - sides).div(2, rounding_mode="floor")
    return torch.cat([start, start + wanted], 1)


class _Line(NamedTuple):
    """Pixels of N frames along one axis: places (N, L), which of them the image has (N, L), lengths (N,)."""

    places: Tensor
    has: Tensor
    lengths: Tensor


def _grid(frames: Tensor, height: int, width: int) -> tuple[_Line, _Line]:
    """Rows and columns of each frame; beyond the image its last pixel repeats."""
    left, top, right, bottom = frames.unbind(1)
    lines = []
    for start, stop, limit in ((top, bottom, height), (left, right, width)):
        lengths = stop - start
        places = start[:, None] + torch.arange(int(lengths.max()), device=frames.device)
        has = (places >= 0) & (places < stop.clamp(max=limit)[:, None])
        lines.append(_Line(places.clamp(0, limit - 1), has, lengths))
    return lines[0], lines[1]


def _batches(frames: Tensor, valid: Tensor) -> Iterator[Tensor]:
    sides = frames[:, 2:] - frames[:, :2]
    order = [row for row in sides.prod(1).argsort(stable=True).tolist() if valid[row]]
    batch: list[int] = []
    height = width = 0
    for row in order:
        height, width = max(height, int(sides[row, 1])), max(width, int(sides[row, 0]))
        if batch and (len(batch) + 1) * height * width > _BUDGET:
            yield torch.tensor(batch, device=frames.device)
            batch, height, width = [], int(sides[row, 1]), int(sides[row, 0])
        batch.append(row)
    if batch:
        yield torch.tensor(batch, device=frames.device)


def _check(image: Tensor, masks: Tensor) -> None:
    if image.ndim != 3 or len(image) != 3 or not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ValueError(
            f"image must be (3, H, W), uint8 or floating point. Got {tuple(image.shape)} of {image.dtype}."
        )
    if masks.ndim != 3 or masks.shape[1:] != image.shape[1:]:
        raise ValueError(
            f"masks must be (Q, {image.shape[1]}, {image.shape[2]}), as the image. Got {tuple(masks.shape)}."
        )
