"""A split of the embedded world: drawn when opened, kept in memory."""

from radapter import world
from radapter.data.labelled.labels import Source
from radapter.data.pictures.pictures import ArrayPictures
from radapter.errors import ConfigError


def read_world(
    split: str,
    *,
    seed: int = 0,
    size: int | None = None,
    correlation: float | None = None,
    difficulty: float | None = None,
) -> Source:
    """Draws a split of the world.

    Args:
        split: one of `radapter.world.SPLITS`.
        seed: of the scenes.
        size: pictures; None takes the split's usual number.
        correlation: of colour and background with the class; None takes the usual one.
        difficulty: of size, place and rotation; None takes the split's usual one.

    Raises:
        ConfigError: `correlation` is given for a split that has none.
        DataError: the split is unknown, or a number is out of range.
    """
    if correlation is not None and split in world.SPLITS.keys() - set(world.CORRELATED):
        raise ConfigError(
            f"correlation acts on the splits train, id_val and id_test. Got split {split!r}, which has none. "
            "Leave correlation out."
        )
    drawn = world.split(
        split,
        seed=seed,
        size=size,
        correlation=world.CORRELATION if correlation is None else correlation,
        difficulty=difficulty,
    )
    pictures = ArrayPictures(drawn.images, name=f"world {split} {seed}:")
    return Source(split, pictures, drawn.labels.tolist(), tuple(drawn.classnames), drawn.keys)
