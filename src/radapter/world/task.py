"""The fine-tuning task: photos whose colours and backgrounds reveal the class, and shifts in which they do not.

Training, validation and ID test images are photos in which object colour, background colour and background pattern
are each the class's own with probability `CORRELATION`. The OOD sets break that correlation: plain photos, corrupted
photos and the six other styles. A model that learns the shortcut gains ID and loses OOD.

Two more splits measure what fine-tuning keeps: zero-shot tasks that it never trains on. In "colour" the label is
the colour of the object, in "pattern" the pattern of the background. Half of their images are photos, half
cartoons, at ordinary difficulty.

The six corruptions are those of Hendrycks and Dietterich, "Benchmarking neural network robustness to common
corruptions and perturbations", ICLR 2019, at one strength range and at the world's size.
"""

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.errors import DataError, did_you_mean
from radapter.hashing import uniform
from radapter.world.drawing import class_masks, draw
from radapter.world.phrases import captions
from radapter.world.scenes import CLASSES, COLOURS, PATTERNS, STYLES, Scenes, sample

CORRELATION = 0.7
DIFFICULTY = 1.4

CORRELATED = ("train", "id_val", "id_test")
"""Splits whose colours and backgrounds are correlated with the class."""
OOD = ("photo", "corrupted", "cartoon", "sketch", "painting", "silhouette", "pixel", "neon")
KEPT: dict[str, tuple[str, ...]] = {"colour": tuple(COLOURS), "pattern": PATTERNS}
"""Splits of tasks that nothing is trained on, and the names of their classes."""
KEPT_DIFFICULTY = 1.0
KEPT_TEMPLATES: dict[str, tuple[str, ...]] = {
    "colour": ("a {} shape", "a photo of a {} shape", "a {} tool"),
    "pattern": ("a {} background", "a picture with a {} background", "a photo on a {} background"),
}
"""Prompts of the tasks in `KEPT`, in the world's own words."""
SPLITS: dict[str, int] = {
    "train": 1000,
    "id_val": 400,
    "id_test": 800,
    **dict.fromkeys(OOD, 1000),
    "scenes": 1000,
    **dict.fromkeys(KEPT, 800),
}
"""Every split and its default size; "scenes" holds all styles and often two objects. A split's scenes follow from
its position here: add new ones at the end."""

_CORRUPTIONS = ("grain", "blur", "low contrast", "fog", "blocks", "occlusion")
# index = split number << 32 | position, so that no two splits share a scene; number 0 is pre-training.
_SPLIT_BITS = 32


@dataclasses.dataclass(frozen=True)
class WorldSplit:
    """N images of the world with their full description.

    labels: Into `classnames`: the class of each scene's first object; in `KEPT` its colour, or the pattern of the
    background.
    """

    name: str
    classnames: tuple[str, ...]  # CLASSES, or those of a split in KEPT
    images: Tensor  # (N, 3, 48, 48), uint8
    labels: Tensor  # (N,), int64
    captions: tuple[str, ...]  # N, clean
    masks: Tensor  # (N, 48, 48), uint8: 0 background, 1 the first object, 2 the second
    keys: Tensor  # (N,), int64, the hash of (seed, index)
    scenes: Scenes

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_masks(self) -> Tensor:
        """(N, 48, 48), int64: 0 background, 1 + class on objects."""
        return class_masks(self.scenes, self.masks)


def split(
    name: str,
    *,
    seed: int = 0,
    size: int | None = None,
    correlation: float = CORRELATION,
    difficulty: float | None = None,
    styles: Sequence[str] | None = None,
) -> WorldSplit:
    """Draws one split; a smaller size gives the first scenes of a larger one, classes stay balanced.

    Args:
        name: One of `SPLITS`.
        seed: Of the world; each seed gives different images of the same kind.
        size: Number of images; None for the split's default size.
        correlation: In [0, 1], of the splits in `CORRELATED`; the others have none.
        difficulty: See `sample`. None for `KEPT_DIFFICULTY` in the splits of `KEPT`, else `DIFFICULTY`.
        styles: Restricts "scenes" to these styles; sets of disjoint styles share no scene. None for all.

    Raises:
        DataError: No split has this name, the size is negative, the correlation is out of range, a style is unknown,
            or styles are given for another split than "scenes".
    """
    if name not in SPLITS:
        known = did_you_mean(str(name), SPLITS)
        raise DataError(f"world split must be one of {', '.join(SPLITS)}. Got {name!r}.{known}")
    count = SPLITS[name] if size is None else size
    if count < 0:
        raise DataError(f"size of a world split must be >= 0, got {size}. Omit it for the default size.")
    if not 0 <= correlation <= 1:
        raise DataError(f"correlation must be in [0, 1], got {correlation}. The default is {CORRELATION}.")
    if styles is not None:
        _check_styles(name, styles)
    if difficulty is None:
        difficulty = KEPT_DIFFICULTY if name in KEPT else DIFFICULTY
    first = list(SPLITS).index(name) + 1 << _SPLIT_BITS
    index = first + torch.arange(count)
    if name == "scenes":
        scenes = _styled(seed, first, count, STYLES if styles is None else styles)
    elif name in KEPT:
        scenes = _photos_and_cartoons(seed, index, difficulty)
    else:
        scenes = sample(
            seed,
            index,
            styles=(name,) if name in STYLES else ("photo",),
            classes=torch.arange(count) % len(CLASSES),
            correlation=correlation if name in CORRELATED else 0.0,
            two_objects=0.0,
            difficulty=difficulty,
        )
    images, masks = draw(scenes)
    if name == "corrupted":
        images = _corrupted(images, seed, index)
    kept = {"colour": scenes.colour[:, 0], "pattern": scenes.pattern}
    return WorldSplit(
        name=name,
        classnames=KEPT.get(name, CLASSES),
        images=images,
        labels=kept.get(name, scenes.classes[:, 0]),
        captions=tuple(captions(scenes)),
        masks=masks,
        keys=scenes.keys,
        scenes=scenes,
    )


def _photos_and_cartoons(seed: int, index: Tensor, difficulty: float) -> Scenes:
    """Alternates photos and cartoons with one object each; every class is as often in both styles."""
    position = torch.arange(len(index))
    scenes = sample(seed, index, classes=position // 2 % len(CLASSES), two_objects=0.0, difficulty=difficulty)
    styles = torch.tensor([STYLES.index("photo"), STYLES.index("cartoon")])
    return dataclasses.replace(scenes, style=styles[position % 2])


def _check_styles(name: str, styles: Sequence[str]) -> None:
    if name != "scenes":
        raise DataError(f"styles are for the split 'scenes', got them with {name!r}. Leave styles out.")
    unknown = [style for style in styles if style not in STYLES]
    if unknown or not styles:
        known = did_you_mean(str(unknown[0]), STYLES) if unknown else ""
        raise DataError(f"styles must be among {', '.join(STYLES)}. Got {list(styles)}.{known}")


def _styled(seed: int, first: int, count: int, styles: Sequence[str]) -> Scenes:
    wanted = torch.tensor([STYLES.index(style) for style in dict.fromkeys(styles)])
    looked_at = count if len(wanted) == len(STYLES) else 2 * count * len(STYLES) // len(wanted)
    while True:
        scenes = sample(seed, first + torch.arange(looked_at), two_objects=0.3, rank_exponent=0.0)
        rows = torch.isin(scenes.style, wanted).nonzero()[:, 0][:count]
        if len(rows) == count:
            return scenes.rows(rows)
        looked_at *= 2


def _corrupted(images: Tensor, seed: int, index: Tensor) -> Tensor:
    """Corrupts each image (N, 3, H, W), uint8, by one kind; kind and strength follow from (seed, index)."""
    unit = uniform(seed, index, "corruption", 4)
    kind = (unit[:, 0] * len(_CORRUPTIONS)).long()
    result = torch.empty_like(images)
    for number, name in enumerate(_CORRUPTIONS):
        chosen = torch.nonzero(kind == number)[:, 0]
        for rows in torch.split(chosen, 128) if len(chosen) else ():
            strength = unit[rows, 1:, None, None, None]
            changed = _corrupted_by(name, images[rows] / 255, strength, seed, index[rows])
            result[rows] = (changed.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return result


def _corrupted_by(name: str, images: Tensor, unit: Tensor, seed: int, index: Tensor) -> Tensor:
    match name:
        case "grain":
            pixels = images[0].numel()
            noise = uniform(seed, index, "grain", pixels) + uniform(seed, index, "grain 2", pixels) - 1
            return images + (0.4 + 0.4 * unit[:, 0]) * noise.view(images.shape)
        case "blur":
            for _ in range(2):
                images = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
            softer = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="replicate"), 5, 1)
            return images + unit[:, 0] * (softer - images)
        case "low contrast":
            mean = images.flatten(1).double().mean(1).float()[:, None, None, None]
            return mean + (0.15 + 0.25 * unit[:, 0]) * (images - mean)
        case "fog":
            knots = uniform(seed, index, "fog", 16).view(-1, 1, 4, 4)
            veil = F.interpolate(knots, size=images.shape[-2:], mode="bilinear", align_corners=True)
            thickness = (0.35 + 0.25 * unit[:, 0]) + 0.5 * (veil - 0.5)
            return images + thickness.clamp(0, 1) * (0.85 - images)
        case "blocks":
            return F.avg_pool2d(images, 3).repeat_interleave(3, 2).repeat_interleave(3, 3)
        case _:  # occlusion
            size = images.shape[-1]
            axis = torch.arange(size)
            width = 0.3 * size
            left, top = unit[:, 0] * (size - width), unit[:, 1] * (size - width)
            across = (axis >= left) & (axis < left + width)
            down = (axis[:, None] >= top) & (axis[:, None] < top + width)
            return torch.where(across & down, 0.2 + 0.6 * unit[:, 2], images)
