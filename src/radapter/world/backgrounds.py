"""The six patterns behind the objects, in two shades of the background's colour."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.hashing import uniform
from radapter.world.scenes import PATTERNS, Scenes

_SIZE = 48


def patterned(scenes: Scenes) -> Tensor:
    """The background of n scenes, (n, 3, H, W) in [0, 1]."""
    value = torch.empty(len(scenes), _SIZE, _SIZE)
    for number, name in enumerate(PATTERNS):
        rows = torch.nonzero(scenes.pattern == number)[:, 0]
        if len(rows):
            part = scenes.rows(rows)
            value[rows] = _PATTERNS[name](part, uniform(part.seed, part.index, "pattern", 4)[..., None, None])
    rgb = scenes.background_rgb[:, :, None, None]
    # Bright colours get a darker second shade, dark ones a lighter one.
    other = torch.where(rgb.mean(1, keepdim=True) > 0.45, 0.62 * rgb, 0.6 * rgb + 0.34)
    return rgb + (other - rgb) * value[:, None]


def _plain(scenes: Scenes, unit: Tensor) -> Tensor:
    return (0.12 * unit[:, 0]).expand(-1, _SIZE, _SIZE)


def _gradient(scenes: Scenes, unit: Tensor) -> Tensor:
    across, _ = _turned(unit)
    return (0.5 + 0.4 * across).clamp(0, 1)


def _striped(scenes: Scenes, unit: Tensor) -> Tensor:
    across, _ = _turned(unit)
    return _sharp(((6 + 6 * unit[:, 1]) * across + 6.28 * unit[:, 2]).sin())


def _checkered(scenes: Scenes, unit: Tensor) -> Tensor:
    across, down = _turned(unit)
    rate = 6 + 5 * unit[:, 1]
    return _sharp((rate * across + 6.28 * unit[:, 2]).sin() * (rate * down + 6.28 * unit[:, 3]).sin() * 2)


def _dotted(scenes: Scenes, unit: Tensor) -> Tensor:
    across, down = _turned(unit)
    rate = 8 + 5 * unit[:, 1]
    return _sharp((rate * across + 6.28 * unit[:, 2]).sin() + (rate * down + 6.28 * unit[:, 3]).sin() - 0.9)


def _cloudy(scenes: Scenes, unit: Tensor) -> Tensor:
    knots = uniform(scenes.seed, scenes.index, "clouds", 49).reshape(-1, 1, 7, 7)
    smooth = F.interpolate(knots, size=(_SIZE, _SIZE), mode="bicubic", align_corners=True)[:, 0]
    return (0.5 + 1.3 * (smooth - 0.5)).clamp(0, 1)


def _turned(unit: Tensor) -> tuple[Tensor, Tensor]:
    axis = (torch.arange(_SIZE) + 0.5) * (2 / _SIZE) - 1
    cosine, sine = (3.1416 * unit[:, 0]).cos(), (3.1416 * unit[:, 0]).sin()
    x, y = axis[None, None, :], axis[None, :, None]
    return x * cosine + y * sine, y * cosine - x * sine


def _sharp(wave: Tensor) -> Tensor:
    return (0.5 + 2.5 * wave).clamp(0, 1)


_PATTERNS: dict[str, Callable[[Scenes, Tensor], Tensor]] = {
    "plain": _plain, "gradient": _gradient, "striped": _striped, "checkered": _checkered, "dotted": _dotted,
    "cloudy": _cloudy,
}  # fmt: skip
