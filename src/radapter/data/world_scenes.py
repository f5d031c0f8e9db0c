"""Scenes of the embedded world, drawn when opened, kept in memory: labelled and captioned.

A captioned scene has up to WORDINGS different captions with more or less detail ("a car", "a cartoon of a red car on
a blue background"); the first is the world's own.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from radapter import world
from radapter.data.labelled.source import LabelledPictures, LabelledSource
from radapter.data.pairs.source import CaptionedPictures, PairSource
from radapter.data.pictures.pictures import ArrayPictures
from radapter.data.source import Reading
from radapter.errors import ConfigError
from radapter.world import WorldSplit

WORDINGS = 5
_RATES = {"clean": world.CLEAN, "full": world.FULL, "web": world.WEB}
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


class WorldSource(LabelledSource):
    """Scenes of the embedded world, drawn when the run starts."""

    world: str = Field(
        description="the split: train, id_val, id_test, a shift, or one of the tasks colour and pattern"
    )
    seed: Seed = 0
    size: Size = None
    correlation: Correlation = None
    difficulty: Difficulty = None

    def read(self, reading: Reading) -> LabelledPictures:
        """Draws the scenes; `reading` is ignored. Raises ConfigError and DataError as `drawn_scenes`."""
        drawn, name, pictures = drawn_scenes(
            self.world,
            seed=self.seed,
            size=self.size,
            correlation=self.correlation,
            difficulty=self.difficulty,
        )
        return LabelledPictures(name, pictures, drawn.labels.tolist(), tuple(drawn.classnames), drawn.keys)


class PairWorldSource(PairSource):
    """Captioned scenes of the embedded world, drawn when the run starts; each has up to five wordings."""

    world: str = Field(description="the split: scenes holds all styles and often two objects")
    seed: Seed = 0
    size: Size = None
    styles: Styles = None
    wording: Literal["clean", "full", "web"] = Field(
        default="clean",
        description="clean names random parts of a scene, full everything visible, web has errors like web captions",
    )

    def read(self, reading: Reading) -> CaptionedPictures:
        """Draws the scenes; `reading` is ignored. Raises DataError as `drawn_scenes`."""
        drawn, name, pictures = drawn_scenes(self.world, seed=self.seed, size=self.size, styles=self.styles)
        rates = _RATES[self.wording]
        worded = [
            world.captions(drawn.scenes, rates, stream=f"caption {number}" if number else "caption")
            for number in range(WORDINGS)
        ]
        captions = [tuple(dict.fromkeys(of)) for of in zip(*worded, strict=True)]
        return CaptionedPictures(name, pictures, captions, None, drawn.keys)


def drawn_scenes(
    split: str,
    *,
    seed: int,
    size: int | None,
    correlation: float | None = None,
    difficulty: float | None = None,
    styles: str | Sequence[str] | None = None,
) -> tuple[WorldSplit, str, ArrayPictures]:
    """Draws a split of the world; returns it with its name in messages and its images.

    Raises:
        ConfigError: `correlation` is given for a split that has none.
        DataError: the split or a style is unknown, or styles are given for another split than "scenes".
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
    return drawn, name, ArrayPictures(drawn.images, name=f"world {split} {seed}:")
