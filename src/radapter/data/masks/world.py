"""Masked and captioned scenes of the embedded world, drawn when opened, kept in memory."""

from collections.abc import Sequence

from radapter import world
from radapter.data.masks.label_maps import ArrayMaps
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.pictures.pictures import ArrayPictures
from radapter.errors import ConfigError

BACKGROUND = "background"


def read_masked_world(
    split: str,
    *,
    seed: int = 0,
    size: int | None = None,
    styles: str | Sequence[str] | None = None,
    correlation: float | None = None,
    difficulty: float | None = None,
    background: bool = True,
) -> PairedMaskDataset:
    """Draws a split of the world with the class of every pixel and the world's own captions.

    Args:
        split: one of `radapter.world.SPLITS`; "scenes" holds every style and often two objects.
        seed: of the scenes.
        size: images; None takes the split's usual number.
        styles: of "scenes" only those in this style, or in one of these; None takes all.
        correlation: of colour and background with the class; None takes the usual one.
        difficulty: of size, place and rotation; None takes the split's usual one.
        background: whether what is no object is a class, the first; false ignores it.

    Raises:
        ConfigError: `correlation` is given for a split that has none.
        DataError: the split or a style is unknown, or a number is out of range.
    """
    if correlation is not None and split in world.SPLITS.keys() - set(world.CORRELATED):
        raise ConfigError(
            f"correlation acts on the splits train, id_val and id_test. Got split {split!r}, which has none. "
            "Leave correlation out."
        )
    chosen = [styles] if isinstance(styles, str) else styles
    drawn = world.split(
        split,
        seed=seed,
        size=size,
        styles=chosen,
        correlation=world.CORRELATION if correlation is None else correlation,
        difficulty=difficulty,
    )
    return PairedMaskDataset(
        ArrayPictures(drawn.images, name=f"world {split} {seed}:"),
        ArrayMaps(drawn.class_masks, name=f"mask of world {split} {seed}:"),
        (BACKGROUND, *world.CLASSES) if background else world.CLASSES,
        ignore=None,
        reduce_zero_label=not background,
        keys=drawn.keys,
        captions=drawn.captions,
        name=split if chosen is None else f"{split} {' '.join(chosen)}",
    )
