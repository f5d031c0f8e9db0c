"""Regions cut out of their image, the background filled, all resized to a tower's input at once.

Each region's box is stretched to a square, as OVSeg does (Liang et al., CVPR 2023, `open_vocab_seg/modeling/
clip_adapter/adapter.py` of its release). With m the mask and f the fill colour, a crop is R (m x + (1 - m) f) C^T.
R and C have one row for each output pixel, its weights on the input pixels, so crops of different sizes are one
batch of matrix products. Their rows sum to 1, so the crop is f + R m (x - f) C^T, and padding costs nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from radapter.models import DualEncoder

THRESHOLD = 0.4
Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_BUDGET = 1 << 18  # pixels of padded crops in one product


@final
@dataclass(frozen=True)
class CropStyle:
    """How regions are cut out and resized.

    Attributes:
        threshold: A pixel belongs to the region if its mask is above it.
        fill: Colour of the background, [0, 1]; None for the tower's mean, which the tower sees as 0.
        antialias: Whether a reduction averages over all pixels, as Pillow does; crops then stay within [0, 1].
            Without it four neighbours make a pixel, however large the region.
        ovseg_compat: Crops as OVSeg's release makes them: no antialiasing, the mean as the fill, and the overshoot
            of the cubic kernel left in. `antialias` is then ignored.
        expand: Factor >= 1 on the sides of boxes, around their middle; the fill lies beyond the image.
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
            raise ValueError(f"ovseg_compat fills with the mean. Got fill {self.fill}. Leave one out.")


PLAIN = CropStyle()


class RegionCrops(NamedTuple):
    """Q regions of one image as a tower takes them."""

    pixels: Tensor  # (Q, 3, S, S), normalised; only the fill if a region is not valid
    masks: Tensor  # (Q, S, S), bool, the region's pixels by nearest neighbour
    valid: Tensor  # (Q,), bool, whether the region has a pixel
    boxes: Tensor  # (Q, 4), int64, as `tight_boxes`


Crop = Callable[[Tensor, Tensor], RegionCrops]
"""`region_crops` of an image (3, H, W), uint8, and masks (Q, H, W), with the other arguments bound."""


def region_crops(
    image: Tensor, masks: Tensor, *, size: int, mean: Colour, std: Colour, style: CropStyle = PLAIN
) -> RegionCrops:
    """Cuts every region of an image out and resizes it to a tower's input, by one batched resize.

    Args:
        image: (3, H, W), uint8, or floating point in [0, 1]; crops are float64 if it is, else float32.
        masks: (Q, H, W), floating point in [0, 1], or bool.
        size: S, height and width of the tower's input.
        mean: The tower subtracts it from pixels in [0, 1].
        std: The tower then divides by it.
        style: Background, resize and frame.

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
        left, top, right, bottom = frames[rows].unbind(1)
        y, has_y, heights = _line(top, bottom, image.shape[1])
        x, has_x, widths = _line(left, right, image.shape[2])
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


def crop_for(encoder: DualEncoder, style: CropStyle = PLAIN) -> Crop:
    """`region_crops` for the size and colours of an encoder's image tower."""
    size, mean, std = encoder.image_size, encoder.image_mean, encoder.image_std
    return partial(region_crops, size=size, mean=mean, std=std, style=style)


def tight_boxes(masks: Tensor) -> Tensor:
    """The smallest box around each mask: (Q, H, W) bool -> (Q, 4), int64, zeros if the mask is empty. A box is left,
    top, right, bottom, the last two exclusive."""
    edges = []
    for axis in (1, 2):  # columns, then rows
        hit = masks.any(axis)
        line = hit.to(torch.uint8)
        first, last = line.argmax(1), line.shape[1] - line.flip(1).argmax(1)
        edges.append(torch.where(hit.any(1), torch.stack([first, last]), 0))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], 1)


def pixels_of(image: Image) -> Tensor:
    """Converts an image to (3, H, W), uint8, RGB, as `region_crops` takes it."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def antialiased_weights(lengths: Tensor, size: int, *, span: int, dtype: torch.dtype) -> Tensor:
    """Weights that resize N lines to `size` pixels as Pillow does, and torch with `antialias=True`: (N, size, span).

    The cubic kernel has a = -0.5 and is widened by the factor of reduction. `lengths` (N,), int, are the pixels of
    each line; `span` is at least the longest, and columns beyond a line are 0. Each row sums to 1.
    """
    centres, scale = _centres(lengths, size, dtype)
    stretch = scale.clamp(min=1)
    reach = 2 * stretch
    low = (centres - reach + 0.5).floor().clamp(min=0)
    high = torch.minimum((centres + reach + 0.5).floor(), lengths[:, None].to(dtype))
    taps = torch.arange(span, dtype=dtype, device=lengths.device)
    weights = _cubic((taps - centres[..., None] + 0.5) / stretch[..., None], a=-0.5)
    weights = weights * ((taps >= low[..., None]) & (taps < high[..., None]))
    return weights / weights.sum(-1, keepdim=True)


def plain_weights(lengths: Tensor, size: int, *, span: int, dtype: torch.dtype) -> Tensor:
    """Weights that resize as torch's `interpolate(mode="bicubic")` does, with aliasing: the kernel has a = -0.75 and
    four neighbours, whatever the reduction. See `antialiased_weights`."""
    centres, _ = _centres(lengths, size, dtype)
    first = (centres - 0.5).floor()
    taps = first[..., None] + torch.arange(-1, 3, dtype=dtype, device=lengths.device)
    weights = _cubic(taps - (centres - 0.5)[..., None], a=-0.75)
    inside = torch.minimum(taps.clamp(min=0), lengths[:, None, None].to(dtype) - 1).long()
    return weights.new_zeros(*centres.shape, span).scatter_add_(-1, inside, weights)


def nearest_index(lengths: Tensor, size: int) -> Tensor:
    """The input pixel of each output pixel, as torch's `interpolate(mode="nearest")`: (N, size), int64."""
    steps = torch.arange(size, device=lengths.device)
    # torch multiplies by the float32 quotient; whole numbers would differ from it where it rounds down.
    scale = lengths.float() / size
    return torch.minimum((steps * scale[:, None]).floor().long(), lengths[:, None] - 1)


def _centres(lengths: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    scale = lengths[:, None].to(dtype) / size
    return (torch.arange(size, dtype=dtype, device=lengths.device) + 0.5) * scale, scale


def _cubic(x: Tensor, *, a: float) -> Tensor:
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def _frames(boxes: Tensor, *, expand: float, square: bool) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2]
    wanted = sides.max(1, keepdim=True).values.expand(-1, 2) if square else sides
    wanted = (wanted * expand).round().long()
    start = boxes[:, :2] - (wanted - sides).div(2, rounding_mode="floor")
    return torch.cat([start, start + wanted], 1)


def _line(start: Tensor, stop: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of N frames along one axis: places (N, L) clamped to the image, which of them it has, lengths (N,)."""
    lengths = stop - start
    places = start[:, None] + torch.arange(int(lengths.max()), device=start.device)
    return places.clamp(0, limit - 1), (places >= 0) & (places < stop.clamp(max=limit)[:, None]), lengths


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
        found = f"{tuple(image.shape)} of {image.dtype}"
        raise ValueError(f"image must be (3, H, W), uint8 or floating point. Got {found}.")
    if masks.ndim != 3 or masks.shape[1:] != image.shape[1:]:
        wanted = ", ".join(map(str, ("Q", *image.shape[1:])))
        raise ValueError(f"masks must be ({wanted}), as the image. Got {tuple(masks.shape)}.")
