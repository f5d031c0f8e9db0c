"""From scenes to pixels and masks, all at once: seven styles, six patterns of the background.

Each object is one sampling of its signed distance field under the scene's geometry. The distance in pixels gives
coverage, outline, shadow, glow and mask. Every operation is element by element or per scene, so a scene's pixels do
not depend on the batch in which it is drawn.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.hashing import uniform
from radapter.world import shapes
from radapter.world.scenes import PATTERNS, STYLES, Scenes

SIZE = 48
CHUNK = 128  # scenes drawn together: their planes stay in the processor's cache
MEAN = (0.5, 0.5, 0.5)
STD = (0.27, 0.27, 0.27)


@dataclass(frozen=True)
class Canvas:
    """The input of a painter: n scenes, and the nearest object at each pixel."""

    scenes: Scenes
    body: Tensor  # (n, H, W), pixels to the object's outline, negative inside
    detail: Tensor  # (n, H, W), pixels to its inner detail
    rgb: Tensor  # (n, 3, H, W), its colour

    def unit(self, stream: str, count: int = 1) -> Tensor:
        """Uniform numbers in [0, 1), (n, count, 1, 1)."""
        return uniform(self.scenes.seed, self.scenes.index, stream, count)[..., None, None]


def draw(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Draws N scenes: images (N, 3, SIZE, SIZE), uint8, and masks (N, SIZE, SIZE), uint8, in which 0 is the
    background, 1 the first object and 2 the second."""
    images = torch.empty(len(scenes), 3, SIZE, SIZE, dtype=torch.uint8)
    masks = torch.empty(len(scenes), SIZE, SIZE, dtype=torch.uint8)
    with torch.inference_mode():
        for start in range(0, len(scenes), CHUNK):
            part = slice(start, start + CHUNK)
            pixels, masks[part] = _draw(scenes.rows(part))
            images[part] = (pixels * 255 + 0.5).to(torch.uint8)
    return images, masks


def class_masks(scenes: Scenes, masks: Tensor) -> Tensor:
    """Masks of `draw` with 1 + class in place of object numbers, int64."""
    table = F.pad(scenes.classes + 1, (1, 0))
    return table.gather(1, masks.long().flatten(1)).view(masks.shape)


def normalised(images: Tensor) -> Tensor:
    """Images (N, 3, SIZE, SIZE), uint8, as the image tower takes them, float32."""
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return (images / 255 - mean) / std


def _draw(scenes: Scenes) -> tuple[Tensor, Tensor]:
    body, detail, rgb, mask = _objects(scenes)
    images = torch.empty(len(scenes), 3, SIZE, SIZE)
    for number, name in enumerate(STYLES):
        rows = torch.nonzero(scenes.style == number)[:, 0]
        if len(rows):
            canvas = Canvas(scenes.rows(rows), body[rows], detail[rows], rgb[rows])
            images[rows] = PAINTERS[name](canvas).clamp(0, 1)
    return images, mask


def _objects(scenes: Scenes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    body, detail = _placed(scenes, 0)
    rgb = scenes.rgb[:, 0, :, None, None].expand(-1, 3, SIZE, SIZE).contiguous()
    mask = (body < 0).to(torch.uint8)
    rows = torch.nonzero(scenes.has_two)[:, 0]
    if len(rows):
        second = scenes.rows(rows)
        other_body, other_detail = _placed(second, 1)
        nearer = other_body < body[rows]
        mask[rows] = torch.where(nearer & (other_body < 0), 2, mask[rows]).to(torch.uint8)
        rgb[rows] = torch.where(nearer[:, None], second.rgb[:, 1, :, None, None], rgb[rows])
        detail[rows] = torch.where(nearer, other_detail, detail[rows])
        body[rows] = torch.minimum(other_body, body[rows])
    return body, detail, rgb, mask


def _placed(scenes: Scenes, slot: int) -> tuple[Tensor, Tensor]:
    axis = _axis()
    x = axis[None, None, :] - scenes.offset[:, slot, 0, None, None]
    y = axis[None, :, None] - scenes.offset[:, slot, 1, None, None]
    scale = scenes.scale[:, slot, None, None]
    angle = scenes.rotation[:, slot, None, None]
    cosine, sine = angle.cos(), angle.sin()
    stretch = (0.5 * scenes.aspect[:, slot]).exp()[:, None, None]
    across = (cosine * x + sine * y) / (scale * stretch) * scenes.flip[:, slot, None, None]
    down = (cosine * y - sine * x) / scale * stretch
    # A painter's hand wavers; elsewhere the outline is only a little off.
    painted = scenes.style == STYLES.index("painting")
    amplitude = torch.where(painted, 0.04 + 1.6 * scenes.warp, scenes.warp)[:, None, None]
    phase = 6.2832 * uniform(scenes.seed, scenes.index, f"phase {slot}", 4)[..., None, None]
    across = across + amplitude * ((3.1 * down + phase[:, 0]).sin() + 0.6 * (5.7 * down + phase[:, 1]).sin())
    down = down + amplitude * ((3.3 * across + phase[:, 2]).sin() + 0.6 * (5.9 * across + phase[:, 3]).sin())
    field = shapes.bank()[scenes.classes[:, slot], scenes.variant[:, slot]]
    grid = torch.stack([across, down], -1) / shapes.EXTENT
    sampled = F.grid_sample(field, grid, padding_mode="border", align_corners=True)
    # Outside the grid the border's distance is too short by about the distance to the border.
    beyond = (grid.abs() - 1).clamp(min=0).sum(-1) * shapes.EXTENT
    pixels = (sampled + beyond[:, None]) * (scale * (SIZE / 2))[:, None]
    return pixels[:, 0].contiguous(), pixels[:, 1].contiguous()


def photo(canvas: Canvas) -> Tensor:
    """A solid body lit from the upper left, its shadow, uneven light and sensor noise."""
    light = canvas.unit("light", 3)
    shadow = _coverage(F.pad(canvas.body, (2, 0, 3, 0), value=9.0)[:, :-3, :-2] - 0.5, softness=3.0)
    ground = _patterned(canvas.scenes) * (1 - 0.45 * shadow)[:, None]
    slope_x = F.pad(canvas.body[:, :, 2:] - canvas.body[:, :, :-2], (1, 1))
    slope_y = F.pad(canvas.body[:, 2:] - canvas.body[:, :-2], (0, 0, 1, 1))
    rim = (1 + 0.3 * canvas.body).clamp(0, 1) * _coverage(canvas.body)
    shade = 0.92 - 0.22 * rim * (slope_x + slope_y) * (0.6 + 0.4 * light[:, 0])
    shade = (shade - 0.02 * canvas.body.clamp(-6, 0)) * (1 - 0.38 * _coverage(canvas.detail))
    image = _over(canvas.rgb * shade[:, None], ground, _coverage(canvas.body))
    exposure = 0.82 + 0.3 * light[:, 1:2] + 0.25 * (light[:, 2:3] - 0.5) * _ramp()
    return image * exposure + (0.02 + 0.04 * light[:, 0:1]) * _noise(canvas)


def cartoon(canvas: Canvas) -> Tensor:
    """Flat colour and a dark outline."""
    width = 0.7 + 0.5 * canvas.unit("width")[:, 0]
    inside = torch.where(canvas.detail[:, None] < 0, 0.55 + 0.45 * canvas.rgb, canvas.rgb)
    image = _over(inside, _patterned(canvas.scenes), _coverage(canvas.body))
    ink = torch.maximum(_line(canvas.body, width), 0.8 * _line(canvas.detail, 0.5 * width))
    return _over(torch.full((1, 3, 1, 1), 0.06), image, ink)


def sketch(canvas: Canvas) -> Tensor:
    """Grey wavering lines on paper, some hatching inside."""
    unit = canvas.unit("sketch", 4)
    x, y = _plane()
    waver = 0.8 * ((0.45 * x + 6.28 * unit[:, 0]).sin() + (0.4 * y + 6.28 * unit[:, 1]).sin()) * 0.5
    lines = torch.maximum(_line(canvas.body + waver, 0.55), 0.7 * _line(canvas.detail + 0.5 * waver, 0.4))
    slant = x + (2 * unit[:, 2] - 1) * y
    hatch = (0.9 * slant + 6.28 * unit[:, 3]).sin().clamp(min=0)
    hatch = hatch * _coverage(canvas.body + 1) * (slant > 48 * unit[:, 0])
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
    image = _over(paint, _patterned(canvas.scenes), _coverage(canvas.body, softness=2.0))
    hue = torch.cat([blot[:, None], -blot[:, None], (0.5 * strokes * blot)[:, None]], 1)
    return image * (1 + 0.13 * strokes)[:, None] + 0.1 * hue + 0.02 * _noise(canvas)


def silhouette(canvas: Canvas) -> Tensor:
    """A dark shape before a pale sky; one image in four is inverted."""
    unit = canvas.unit("backlight", 3)
    tint = canvas.scenes.background_rgb[:, :, None, None]
    sky = (0.45 + 0.5 * tint) * (1 + 0.25 * (unit[:, 0:1] - 0.5) * _ramp())
    dark = 0.12 * tint + 0.06 * unit[:, 1:2]
    inverted = unit[:, 2:3] < 0.25
    return _over(torch.where(inverted, sky, dark), torch.where(inverted, dark, sky), _coverage(canvas.body))


def pixel(canvas: Canvas) -> Tensor:
    """Sixteen by sixteen blocks in few colours."""
    body = torch.where(canvas.detail[:, None] < 0, 0.55 * canvas.rgb, canvas.rgb)
    image = F.avg_pool2d(_over(body, _patterned(canvas.scenes), _coverage(canvas.body)), 3)
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


def _patterned(scenes: Scenes) -> Tensor:
    """The background of n scenes, (n, 3, H, W) in [0, 1]."""
    share = torch.empty(len(scenes), SIZE, SIZE)
    for number, name in enumerate(PATTERNS):
        rows = torch.nonzero(scenes.pattern == number)[:, 0]
        if len(rows):
            share[rows] = _second_shade(name, scenes.rows(rows))
    rgb = scenes.background_rgb[:, :, None, None]
    # Bright colours get a darker second shade, dark ones a lighter one.
    other = torch.where(rgb.mean(1, keepdim=True) > 0.45, 0.62 * rgb, 0.6 * rgb + 0.34)
    return rgb + (other - rgb) * share[:, None]


def _second_shade(pattern: str, scenes: Scenes) -> Tensor:
    """The share of the second shade at each pixel, (n, H, W)."""
    unit = uniform(scenes.seed, scenes.index, "pattern", 4)[..., None, None]
    cosine, sine = (3.1416 * unit[:, 0]).cos(), (3.1416 * unit[:, 0]).sin()
    x, y = _axis()[None, None, :], _axis()[None, :, None]
    across, down = x * cosine + y * sine, y * cosine - x * sine
    match pattern:
        case "plain":
            return (0.12 * unit[:, 0]).expand(-1, SIZE, SIZE)
        case "gradient":
            return (0.5 + 0.4 * across).clamp(0, 1)
        case "cloudy":
            knots = uniform(scenes.seed, scenes.index, "clouds", 49).reshape(-1, 1, 7, 7)
            smooth = F.interpolate(knots, size=(SIZE, SIZE), mode="bicubic", align_corners=True)[:, 0]
            return (0.5 + 1.3 * (smooth - 0.5)).clamp(0, 1)
        case "striped":
            wave = ((6 + 6 * unit[:, 1]) * across + 6.28 * unit[:, 2]).sin()
        case "checkered":
            rate = 6 + 5 * unit[:, 1]
            wave = (rate * across + 6.28 * unit[:, 2]).sin() * (rate * down + 6.28 * unit[:, 3]).sin() * 2
        case _:  # dotted
            rate = 8 + 5 * unit[:, 1]
            wave = (rate * across + 6.28 * unit[:, 2]).sin() + (rate * down + 6.28 * unit[:, 3]).sin() - 0.9
    return (0.5 + 2.5 * wave).clamp(0, 1)


def _coverage(distance: Tensor, *, softness: float = 1.0) -> Tensor:
    return (0.5 - distance / softness).clamp(0, 1)


def _line(distance: Tensor, half_width: Tensor | float) -> Tensor:
    return (half_width + 0.5 - distance.abs()).clamp(0, 1)


def _over(top: Tensor, bottom: Tensor, coverage: Tensor) -> Tensor:
    return bottom + (top - bottom) * coverage[:, None]


def _axis() -> Tensor:
    return (torch.arange(SIZE) + 0.5) * (2 / SIZE) - 1


@functools.cache
def _plane() -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    return x[None], y[None]


@functools.cache
def _ramp() -> Tensor:
    x, y = _plane()
    return ((0.6 * x + 0.8 * y) / 34 - 1)[:, None]


def _noise(canvas: Canvas) -> Tensor:
    """Normal noise (n, 3, H, W): an entry of one fixed table, chosen by the scene's hash."""
    table = _noise_table()
    return table[(canvas.unit("noise")[:, 0, 0, 0] * len(table)).long()]


@functools.cache
def _noise_table() -> Tensor:
    unit = uniform(0, torch.arange(256), "noise table", 2 * 48 * 48 * 3).reshape(256, 2, 3, 48, 48)
    return (-2 * (1 - unit[:, 0]).log()).sqrt() * (6.2831853 * unit[:, 1]).cos()
