"""The content of each image: the latent description of a scene, a pure function of (seed, index).

A scene has a style, a background and one or two objects. Drawing, captions, labels and masks all read the same
description, so they cannot disagree.
"""

import dataclasses
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from radapter.hashing import between, keys, pick, uniform
from radapter.world.shapes import SHAPES, VARIANTS

CLASSES: tuple[str, ...] = tuple(SHAPES)
STYLES = ("photo", "cartoon", "sketch", "painting", "silhouette", "pixel", "neon")
PATTERNS = ("plain", "gradient", "striped", "checkered", "dotted", "cloudy")
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.12, 0.12), "orange": (0.95, 0.55, 0.10), "yellow": (0.95, 0.87, 0.15),
    "green": (0.15, 0.65, 0.22), "blue": (0.15, 0.30, 0.88), "purple": (0.52, 0.18, 0.70),
    "pink": (0.96, 0.55, 0.72), "brown": (0.48, 0.29, 0.13), "gray": (0.50, 0.50, 0.50),
    "white": (0.94, 0.94, 0.94),
}  # fmt: skip

_JITTER = 0.07  # of each colour channel
_NOTHING = -1  # the second object's class where there is none


@dataclasses.dataclass(frozen=True)
class Scenes:
    """N scenes; slot 0 is the object that names the scene, slot 1 the other one."""

    seed: int
    index: Tensor  # (N,), int64; with the seed, everything else follows from it
    style: Tensor  # (N,), into STYLES
    background: Tensor  # (N,), into COLOURS
    pattern: Tensor  # (N,), into PATTERNS
    background_rgb: Tensor  # (N, 3)
    classes: Tensor  # (N, 2), into CLASSES; -1 if there is no second object
    variant: Tensor  # (N, 2)
    colour: Tensor  # (N, 2), into COLOURS
    rgb: Tensor  # (N, 2, 3)
    scale: Tensor  # (N, 2), half the object's size over half the image's
    rotation: Tensor  # (N, 2), radians
    offset: Tensor  # (N, 2, 2), x and y of the centre, half images
    aspect: Tensor  # (N, 2), log of width over height
    flip: Tensor  # (N, 2), +1 or -1
    warp: Tensor  # (N,), amplitude of the outline's low-frequency distortion, in object units

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, rows: Tensor | slice) -> Self:
        """The scenes at `rows`, (M,) int64 or a slice."""
        tensors = {name: value[rows] for name, value in vars(self).items() if name != "seed"}
        return dataclasses.replace(self, **tensors)

    @property
    def keys(self) -> Tensor:
        """The hash of each scene's seed and index, (N,), int64."""
        return keys(self.seed, self.index, "key")

    @property
    def has_two(self) -> Tensor:
        """Whether a scene has a second object, (N,), bool."""
        return self.classes[:, 1] != _NOTHING


def sample(
    seed: int,
    index: Tensor,
    *,
    styles: Sequence[str] = STYLES,
    classes: Tensor | None = None,
    correlation: float = 0.0,
    two_objects: float = 0.15,
    difficulty: float = 1.0,
    rank_exponent: float = 0.5,
) -> Scenes:
    """Describes the scenes at (seed, index), in the order of `index`.

    Args:
        seed: Any integer.
        index: (N,), int64.
        styles: Each is equally likely.
        classes: (N,), the first objects' classes; None draws them with frequency rank ** -rank_exponent.
        correlation: Probability of the class's own object colour, background colour and pattern, each by itself;
            otherwise they are uniform.
        two_objects: Probability of a second object.
        difficulty: 0 gives large, upright, centred objects, 1 the ordinary ones, above 1 smaller and more turned.
        rank_exponent: 0 gives balanced classes.
    """
    index = index.to(torch.int64)
    count = len(CLASSES)
    kind = uniform(seed, index, "kind", 4)
    rank = torch.arange(1, count + 1, dtype=torch.float32) ** -rank_exponent
    first = pick(kind[:, 0], rank) if classes is None else classes.to(torch.int64)
    other = (first + 1 + (kind[:, 1] * (count - 1)).long()) % count
    two = kind[:, 2] < two_objects
    style = torch.tensor([STYLES.index(name) for name in styles])[(kind[:, 3] * len(styles)).long()]

    colour, background, pattern = _colours(seed, index, first, correlation)
    shape = uniform(seed, index, "shape", 12).reshape(-1, 2, 6)
    scale = between(*_scale_range(difficulty), shape[:, :, 0])
    reach = ((1 - 0.85 * scale) * min(difficulty, 1.0)).clamp(min=0)[..., None]
    offset = between(-reach, reach, uniform(seed, index, "offset", 4).reshape(-1, 2, 2))
    # Two objects stand side by side, each at most half the image wide.
    beside = torch.where(two[:, None], torch.tensor([[-0.48, 0.48]]), torch.zeros(1, 2))
    scale = torch.where(two[:, None], (scale * 0.72).clamp(max=0.48), scale)
    offset = torch.where(two[:, None, None], offset * 0.3, offset) + torch.stack([beside, 0 * beside], -1)
    tint = uniform(seed, index, "tint", 9).reshape(-1, 3, 3) * 2 - 1
    palette = torch.tensor(list(COLOURS.values()))
    return Scenes(
        seed=seed,
        index=index,
        style=style,
        background=background,
        pattern=pattern,
        background_rgb=(palette[background] + _JITTER * tint[:, 2]).clamp(0, 1),
        classes=torch.stack([first, torch.where(two, other, _NOTHING)], 1),
        variant=(shape[:, :, 1] * VARIANTS).long(),
        colour=colour,
        rgb=(palette[colour] + _JITTER * tint[:, :2]).clamp(0, 1),
        scale=scale,
        rotation=between(-0.4, 0.4, shape[:, :, 2]) * difficulty,
        offset=offset,
        aspect=between(-0.25, 0.25, shape[:, :, 3]) * min(difficulty, 1.5),
        flip=torch.where(shape[:, :, 4] < 0.5, -1.0, 1.0),
        warp=0.05 * difficulty * uniform(seed, index, "warp")[:, 0],
    )


def own_attributes(classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The colour, background colour and pattern, each (N,), that a correlated world ties to classes (N,)."""
    # Each colour serves two classes, whose backgrounds differ; no class has the colour of its background.
    background = (3 * classes + 2 * (classes // 10) + 5) % 10
    return classes % 10, background, (classes + classes // 7) % len(PATTERNS)


def _colours(seed: int, index: Tensor, first: Tensor, correlation: float) -> tuple[Tensor, Tensor, Tensor]:
    unit = uniform(seed, index, "colour", 4)
    tied = uniform(seed, index, "tied", 3) < correlation
    own_colour, own_background, own_pattern = own_attributes(first)
    colour = torch.where(tied[:, 0], own_colour, (unit[:, 0] * 10).long())
    background = torch.where(tied[:, 1], own_background, (unit[:, 1] * 10).long())
    pattern = torch.where(tied[:, 2], own_pattern, (unit[:, 2] * len(PATTERNS)).long())
    # An object of the background's colour could not be seen: the background moves to the next colour.
    background = torch.where(background == colour, (background + 1) % 10, background)
    second = (background + 1 + (unit[:, 3] * 9).long()) % 10
    return torch.stack([colour, second], 1), background, pattern


def _scale_range(difficulty: float) -> tuple[float, float]:
    if difficulty <= 1:
        return 0.78 - 0.36 * difficulty, 0.84
    return max(0.42 - 0.2 * (difficulty - 1), 0.2), max(0.84 - 0.4 * (difficulty - 1), 0.4)
