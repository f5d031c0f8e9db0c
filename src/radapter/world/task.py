"""The fine-tuning task: photos whose colours and backgrounds reveal the class, and shifts in which they do not.

Training, validation and ID test pictures are photos in which object colour, background colour and background pattern
are each the class's own with probability `CORRELATION`. The OOD sets break that correlation: plain photos, corrupted
photos and the six other styles. A model that learns the shortcut gains ID and loses OOD.

Two more splits measure what fine-tuning keeps: zero-shot tasks that it never trains on. In "colour" the label is
the colour of the object, in "pattern" the pattern of the background. Half of their pictures are photos, half
cartoons, at ordinary difficulty.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from radapter.errors import DataError, did_you_mean
from radapter.world.corruptions import corrupted
from radapter.world.drawing import class_masks, draw
from radapter.world.phrases import captions
from radapter.world.scenes import CLASSES, COLOURS, PATTERNS, STYLES, Scenes, sample

CORRELATION = 0.7
DIFFICULTY = 1.4

CORRELATED = ("train", "id_val", "id_test")
"""Splits whose colours and backgrounds go with the class."""
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
"""Every split and its usual size; "scenes" holds all styles and often two objects. A split's number is its position
here, and its scenes follow from the number: add new ones at the end."""

# index = split number << 32 | position, so that no two splits share a scene; number 0 is pre-training.
_SPLIT_BITS = 32


@dataclasses.dataclass(frozen=True)
class WorldSplit:
    """Pictures of the world with everything the world knows about them.

    Attributes:
        name: Of the split.
        classnames: The class names: `CLASSES`, or those of a split in `KEPT`.
        images: (N, 3, 48, 48), uint8.
        labels: (N,), int64, into `classnames`: the class of each scene's first object; in `KEPT` its colour, or the
            pattern of the background.
        captions: N clean captions.
        masks: (N, 48, 48), uint8: 0 background, 1 the first object, 2 the second.
        keys: (N,), int64, the hash of (seed, index).
        scenes: The full description.
    """

    name: str
    classnames: tuple[str, ...]
    images: Tensor
    labels: Tensor
    captions: tuple[str, ...]
    masks: Tensor
    keys: Tensor
    scenes: Scenes

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def class_masks(self) -> Tensor:
        """(N, 48, 48), int64: 0 background, 1 + class elsewhere."""
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
        seed: Of the world; every seed is another set of pictures of the same kind.
        size: Number of pictures; None for the split's usual size.
        correlation: Of the training, validation and ID test pictures, in [0, 1]; the others have none.
        difficulty: Of size, place and rotation; 1 is ordinary, above 1 smaller and more turned. None for
            `KEPT_DIFFICULTY` in the splits of `KEPT`, else `DIFFICULTY`.
        styles: Restricts "scenes" to these styles; sets of disjoint styles share no scene. None for all.

    Raises:
        DataError: No split has this name, the size is negative, the correlation is out of range, a style is unknown,
            or styles are given for another split than "scenes".
    """
    if name not in SPLITS:
        raise DataError(
            f"world split must be one of {', '.join(SPLITS)}. Got {name!r}.{did_you_mean(str(name), SPLITS)}"
        )
    count = SPLITS[name] if size is None else size
    if count < 0:
        raise DataError(
            f"size of a world split must be at least 0. Got {size}. Leave it out for the usual size."
        )
    if not 0 <= correlation <= 1:
        raise DataError(
            f"correlation must be in [0, 1]. Got {correlation}. The usual value is {CORRELATION}."
        )
    if styles is not None:
        _check_styles(name, styles)
    if difficulty is None:
        difficulty = KEPT_DIFFICULTY if name in KEPT else DIFFICULTY
    first = list(SPLITS).index(name) + 1 << _SPLIT_BITS
    index = first + torch.arange(count)
    if name == "scenes":
        scenes = _styled(seed, first, count, STYLES if styles is None else styles)
        index = scenes.index
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
        images = corrupted(images, seed, index)
    return WorldSplit(
        name=name,
        classnames=KEPT.get(name, CLASSES),
        images=images,
        labels=_labels(name, scenes),
        captions=tuple(captions(scenes)),
        masks=masks,
        keys=scenes.keys,
        scenes=scenes,
    )


def _labels(name: str, scenes: Scenes) -> Tensor:
    if name == "colour":
        return scenes.colour[:, 0]
    return scenes.pattern if name == "pattern" else scenes.classes[:, 0]


def _photos_and_cartoons(seed: int, index: Tensor, difficulty: float) -> Scenes:
    """Photos and cartoons by turns, with one object each; every class is as often in both styles."""
    position = torch.arange(len(index))
    scenes = sample(seed, index, classes=position // 2 % len(CLASSES), two_objects=0.0, difficulty=difficulty)
    styles = torch.tensor([STYLES.index("photo"), STYLES.index("cartoon")])
    return dataclasses.replace(scenes, style=styles[position % 2])


def _check_styles(name: str, styles: Sequence[str]) -> None:
    if name != "scenes":
        raise DataError(f"styles choose among scenes. Split {name!r} has one style. Leave styles out.")
    unknown = [style for style in styles if style not in STYLES]
    if unknown or not styles:
        raise DataError(
            f"styles must be among {', '.join(STYLES)}. Got {list(styles)}."
            f"{did_you_mean(str(unknown[0]), STYLES) if unknown else ''}"
        )


def _styled(seed: int, first: int, count: int, styles: Sequence[str]) -> Scenes:
    wanted = torch.tensor([STYLES.index(style) for style in dict.fromkeys(styles)])
    looked_at = count if len(wanted) == len(STYLES) else 2 * count * len(STYLES) // len(wanted)
    while True:
        scenes = sample(seed, first + torch.arange(looked_at), two_objects=0.3, rank_exponent=0.0)
        rows = torch.isin(scenes.style, wanted).nonzero()[:, 0][:count]
        if len(rows) == count:
            return scenes.rows(rows)
        looked_at *= 2
