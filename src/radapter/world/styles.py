"""The seven ways to paint a scene, from the distances to its objects, and the six patterns of its background."""

import dataclasses
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.hashing import uniform
from radapter.world.scenes import PATTERNS, Scenes

_SIZE = 48


@dataclasses.dataclass(frozen=True)
class Canvas:
    """The input of a painter, n scenes.

    Attributes:
        scenes: n scenes.
        body: (n, H, W), distance in pixels to the nearest object's outline, negative inside.
        detail: (n, H, W), the same to that object's inner detail.
        rgb: (n, 3, H, W), that object's colour.
    """

    scenes: Scenes
    body: Tensor
    detail: Tensor
    rgb: Tensor

    def unit(self, stream: str, count: int = 1) -> Tensor:
        """Uniform numbers in [0, 1), (n, count, 1, 1)."""
        return uniform(self.scenes.seed, self.scenes.index, stream, count)[..., None, None]


def photo(canvas: Canvas) -> Tensor:
    """A solid body lit from the upper left, its shadow, uneven light and sensor noise."""
    light = canvas.unit("light", 3)
    shadow = _coverage(F.pad(canvas.body, (2, 0, 3, 0), value=9.0)[:, :-3, :-2] - 0.5, softness=3.0)
    ground = patterned(canvas.scenes) * (1 - 0.45 * shadow)[:, None]
    slope_x = F.pad(canvas.body[:, :, 2:] - canvas.body[:, :, :-2], (1, 1))
    slope_y = F.pad(canvas.body[:, 2:] - canvas.body[:, :-2], (0, 0, 1, 1))
    rim = (1 + 0.3 * canvas.body).clamp(0, 1) * _coverage(canvas.body)
    shade = (
        0.92 - 0.22 * rim * (slope_x + slope_y) * (0.6 + 0.4 * light[:, 0]) - 0.02 * canvas.body.clamp(-6, 0)
    )
    shade = shade * (1 - 0.38 * _coverage(canvas.detail))
    image = _over(canvas.rgb * shade[:, None], ground, _coverage(canvas.body))
    exposure = 0.82 + 0.3 * light[:, 1:2] + 0.25 * (light[:, 2:3] - 0.5) * _ramp()
    return image * exposure + (0.02 + 0.04 * light[:, 0:1]) * _noise(canvas)


def cartoon(canvas: Canvas) -> Tensor:
    """Flat colour and a dark outline."""
    width = 0.7 + 0.5 * canvas.unit("width")[:, 0]
    inside = torch.where(canvas.detail[:, None] < 0, 0.55 + 0.45 * canvas.rgb, canvas.rgb)
    image = _over(inside, patterned(canvas.scenes), _coverage(canvas.body))
    ink = torch.maximum(_line(canvas.body, width), 0.8 * _line(canvas.detail, 0.5 * width))
    return _over(torch.full((1, 3, 1, 1), 0.06), image, ink)


def sketch(canvas: Canvas) -> Tensor:
    """Grey wavering lines on paper, some hatching inside."""
    unit = canvas.unit("sketch", 4)
    x, y = _plane()
    waver = 0.8 * ((0.45 * x + 6.28 * unit[:, 0]).sin() + (0.4 * y + 6.28 * unit[:, 1]).sin()) * 0.5
    lines = torch.maximum(_line(canvas.body + waver, 0.55), 0.7 * _line(canvas.detail + 0.5 * waver, 0.4))
    slant = x + (2 * unit[:, 2] - 1) * y
    hatch = (
        (0.9 * slant + 6.28 * unit[:, 3]).sin().clamp(min=0)
        * _coverage(canvas.body + 1)
        * (slant > 48 * unit[:, 0])
    )
    paper = 0.9 + 0.06 * unit[:, 1:2] + 0.02 * _noise(canvas)
    return paper - (0.62 * lines + 0.22 * hatch)[:, None].expand(-1, 3, -1, -1)


def painting(canvas: Canvas) -> Tensor:
    """Soft warped edges, colours that vary, brush waves over everything."""
    unit = canvas.unit("brush", 6)
    x, y = _plane()
    angle = 6.28 * unit[:, 0]
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    strokes = (0.95 * across + 1.5 * (0.22 * along + 6.28 * unit[:, 1]).sin() + 6.28 * unit[:, 2]).sin()
    blot = (0.16 * x + 6.28 * unit[:, 3]).sin() * (0.19 * y + 6.28 * unit[:, 4]).sin()
    paint = canvas.rgb * (1 - 0.25 * _coverage(canvas.detail, softness=2.0))[:, None]
    image = _over(paint, patterned(canvas.scenes), _coverage(canvas.body, softness=2.0))
    hue = torch.cat([blot[:, None], -blot[:, None], (0.5 * strokes * blot)[:, None]], 1)
    return image * (1 + 0.13 * strokes)[:, None] + 0.1 * hue + 0.02 * _noise(canvas)


def silhouette(canvas: Canvas) -> Tensor:
    """A dark shape before a pale sky; every fourth the other way round."""
    unit = canvas.unit("backlight", 3)
    tint = canvas.scenes.background_rgb[:, :, None, None]
    sky = (0.45 + 0.5 * tint) * (1 + 0.25 * (unit[:, 0:1] - 0.5) * _ramp())
    dark = 0.12 * tint + 0.06 * unit[:, 1:2]
    inverted = unit[:, 2:3] < 0.25
    return _over(torch.where(inverted, sky, dark), torch.where(inverted, dark, sky), _coverage(canvas.body))


def pixel(canvas: Canvas) -> Tensor:
    """Sixteen by sixteen blocks in few colours."""
    body = torch.where(canvas.detail[:, None] < 0, 0.55 * canvas.rgb, canvas.rgb)
    image = F.avg_pool2d(_over(body, patterned(canvas.scenes), _coverage(canvas.body)), 3)
    image = (image * 5).round() / 5
    return image.repeat_interleave(3, 2).repeat_interleave(3, 3)


def neon(canvas: Canvas) -> Tensor:
    """A glowing outline in the dark."""
    unit = canvas.unit("night", 2)
    night = 0.03 + 0.12 * unit[:, 0:1] * canvas.scenes.background_rgb[:, :, None, None]
    tube = torch.minimum(canvas.body.abs(), canvas.detail.abs() + 0.5)[:, None]
    glow = (-tube / (1.5 + 1.5 * unit[:, 1:2])).exp()
    core = (1.6 - tube).clamp(0, 1)
    vivid = canvas.rgb / canvas.rgb.amax(1, keepdim=True)
    return night + 0.75 * glow * vivid + core * (0.3 + 0.4 * vivid)


PAINTERS: dict[str, Callable[[Canvas], Tensor]] = {
    "photo": photo, "cartoon": cartoon, "sketch": sketch, "painting": painting, "silhouette": silhouette,
    "pixel": pixel, "neon": neon,
}  # fmt: skip


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


def _coverage(distance: Tensor, *, softness: float = 1.0) -> Tensor:
    return (0.5 - distance / softness).clamp(0, 1)


def _line(distance: Tensor, half_width: Tensor | float) -> Tensor:
    return (half_width + 0.5 - distance.abs()).clamp(0, 1)


def _over(top: Tensor, bottom: Tensor, coverage: Tensor) -> Tensor:
    return bottom + (top - bottom) * coverage[:, None]


@functools.cache
def _plane() -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    return x[None], y[None]


@functools.cache
def _ramp() -> Tensor:
    x, y = _plane()
    return ((0.6 * x + 0.8 * y) / 34 - 1)[:, None]


def _noise(canvas: Canvas) -> Tensor:
    """Normal noise (n, 3, H, W): a window of one fixed table, placed by the scene's hash."""
    table = _noise_table()
    start = (uniform(canvas.scenes.seed, canvas.scenes.index, "noise")[:, 0] * (table.shape[0])).long()
    return table[start]


@functools.cache
def _noise_table() -> Tensor:
    unit = uniform(0, torch.arange(256), "noise table", 2 * 48 * 48 * 3).reshape(256, 2, 3, 48, 48)
    return (-2 * (1 - unit[:, 0]).log()).sqrt() * (6.2831853 * unit[:, 1]).cos()


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
