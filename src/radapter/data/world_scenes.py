"""Scenes of the synthetic benchmark: the keys that the sources of all tasks share, and the drawing."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from radapter import world
from radapter.data.images.sequences import ArrayImages
from radapter.errors import ConfigError
from radapter.world import WorldSplit

Seed = Annotated[int, Field(ge=0, description="which draw of the split")]
Size = Annotated[
    Annotated[int, Field(ge=1, le=10_000_000)] | None,
    Field(description="number of images; null is the split's own"),
]
Correlation = Annotated[
    Annotated[float, Field(ge=0, le=1)] | None,
    Field(description="correlation of colour and background with the class, in the splits that have it"),
]
Difficulty = Annotated[Annotated[float, Field(ge=0)] | None, Field(description="of size, place and rotation")]
Styles = Annotated[
    str | list[str] | None,
    Field(description="for the split scenes: keep this style, or these; null keeps all"),
]


def drawn_scenes(
    split: str,
    *,
    seed: int,
    size: int | None,
    correlation: float | None = None,
    difficulty: float | None = None,
    styles: str | Sequence[str] | None = None,
) -> tuple[WorldSplit, str, ArrayImages]:
    """Draws a split of the world; returns it with its name in messages and its images.

    Raises ConfigError if the split has no correlation, and DataError if it has no styles or a name is unknown.
    """
    if correlation is not None and split in world.SPLITS.keys() - set(world.CORRELATED):
        raise ConfigError(
            f"correlation acts on the splits train, id_val and id_test. Got split {split!r}. Leave correlation out."
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
    name = split if chosen is None else f"{split} {' '.join(chosen)}"
    return drawn, name, ArrayImages(drawn.images, name=f"world {split} {seed}:")
