"""Augmentation of whole batches in torch: crops, colour, and line drawings made of photographs.

PACS has few pictures and four styles; pictures turned into edges, flat colours or greys carry what was learned
from one style to the others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def augment(pixels: Tensor, size: int, generator: Generator, *, smallest: float = 0.3) -> Tensor:
    """Random views of pictures.

    Args:
        pixels: (B, S, S, 3), uint8.
        size: side of the views.
        generator: everything random comes from it.
        smallest: least share of the area that a crop keeps.
    Returns:
        (B, 3, size, size) float32 in [0, 1].
    """
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    images = _crop(images, size, generator, smallest)
    images = _colour(images, generator)
    images = _where(images, _edges(images, generator), 0.15, generator)
    images = _where(images, _flatten(images), 0.08, generator)
    images = _where(images, images.mean(1, keepdim=True).expand_as(images), 0.15, generator)
    images = _where(images, 1 - images, 0.04, generator)
    return _erase(images.clamp(0, 1), generator)


def mix(
    images: Tensor, targets: Tensor, generator: Generator, *, probability: float
) -> tuple[Tensor, Tensor]:
    """Mixup or cutmix of a batch with its own reverse, and the targets (B, C) likewise."""
    coin = torch.rand(2, generator=generator)
    if coin[0] >= probability:
        return images, targets
    share = float(torch.rand((), generator=generator)) * 0.5
    if coin[1] < 0.5:
        return torch.lerp(images, images.flip(0), share), torch.lerp(targets, targets.flip(0), share)
    size = images.shape[-1]
    side = round(size * share**0.5)
    top, left = (int(torch.randint(0, size - side + 1, (), generator=generator)) for _ in range(2))
    images = images.clone()
    images[:, :, top : top + side, left : left + side] = images.flip(0)[
        :, :, top : top + side, left : left + side
    ]
    return images, torch.lerp(targets, targets.flip(0), side**2 / size**2)


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _where(images: Tensor, other: Tensor, probability: float, generator: Generator) -> Tensor:
    chosen = torch.rand(len(images), 1, 1, 1, generator=generator) < probability
    return torch.where(chosen, other, images)


def _crop(images: Tensor, size: int, generator: Generator, smallest: float) -> Tensor:
    count = len(images)
    scale = _uniform(count, smallest, 1.0, generator).sqrt()
    aspect = _uniform(count, -0.25, 0.25, generator).exp()
    width, height = (scale * aspect).clamp(max=1), (scale / aspect).clamp(max=1)
    angle = _uniform(count, -0.25, 0.25, generator)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    left = _uniform(count, -1, 1, generator) * (1 - width)
    top = _uniform(count, -1, 1, generator) * (1 - height)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([flip * width * cos, -height * sin, left], 1),
            torch.stack([flip * width * sin, height * cos, top], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _colour(images: Tensor, generator: Generator) -> Tensor:
    count = len(images)
    gain = torch.rand(count, 3, 1, 1, generator=generator) * 0.4 + 0.8
    brightness = _uniform(count, 0.6, 1.4, generator).view(-1, 1, 1, 1)
    contrast = _uniform(count, 0.6, 1.4, generator).view(-1, 1, 1, 1)
    saturation = _uniform(count, 0.2, 1.6, generator).view(-1, 1, 1, 1)
    mean = images.mean((1, 2, 3), keepdim=True)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * saturation
    return (mean + (images - mean) * contrast) * brightness * gain


def _edges(images: Tensor, generator: Generator) -> Tensor:
    """Dark lines on white where the grey value changes."""
    grey = F.avg_pool2d(F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate"), 3, 1)
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    strength = torch.rand(len(images), 1, 1, 1, generator=generator) * 6 + 3
    lines = 1 - ((across.square() + down.square()).sqrt() * strength - 0.15).clamp(0, 1)
    return lines.expand_as(images)


def _flatten(images: Tensor) -> Tensor:
    """Four levels a channel of a blurred picture: flat colours, as in a cartoon."""
    return (F.avg_pool2d(images, 3, 1, padding=1) * 4).floor().clamp(0, 3) / 3


def _erase(images: Tensor, generator: Generator, probability: float = 0.25) -> Tensor:
    count, _, size, _ = images.shape
    side = _uniform(count, 0.15, 0.45, generator) * size
    side = torch.where(torch.rand(count, generator=generator) < probability, side, torch.zeros(()))
    centre = torch.rand(2, count, generator=generator) * size
    where = torch.arange(size)
    rows = (where - centre[0, :, None]).abs() < side[:, None] / 2
    columns = (where - centre[1, :, None]).abs() < side[:, None] / 2
    hole = (rows[:, None, :, None] & columns[:, None, None, :]).to(images.dtype)
    fill = torch.rand(count, 3, 1, 1, generator=generator)
    return images * (1 - hole) + fill * hole
