"""Captioned scenes of the embedded world, drawn when opened, kept in memory.

A scene has up to WORDINGS captions that name more or less of it ("a car", "a cartoon of a red car on a blue
background"); the first is the world's own. Wordings that come out alike count once.
"""

from collections.abc import Sequence

from radapter import world
from radapter.data.pairs.captioned import CaptionedSource
from radapter.data.pictures.pictures import ArrayPictures
from radapter.errors import ConfigError, did_you_mean

WORDINGS = 5
RATES = {"clean": world.CLEAN, "full": world.FULL, "web": world.WEB}
"""What captions say: parts of the scene at random, everything that can be seen, or what the web would."""


def read_pair_world(
    split: str,
    *,
    seed: int = 0,
    size: int | None = None,
    styles: str | Sequence[str] | None = None,
    wording: str = "clean",
) -> CaptionedSource:
    """Draws a split of the world with its captions; every scene is a group.

    Args:
        split: one of `radapter.world.SPLITS`; "scenes" holds every style and often two objects.
        seed: of the scenes.
        size: images; None takes the split's usual number.
        styles: of "scenes" only those in this style, or in one of these; None takes all.
        wording: a key of RATES.

    Raises:
        ConfigError: the wording is unknown.
        DataError: the split or a style is unknown, or a number is out of range.
    """
    if wording not in RATES:
        raise ConfigError(
            f"wording must be one of {', '.join(RATES)}. Got {wording!r}.{did_you_mean(wording, RATES)}"
        )
    chosen = [styles] if isinstance(styles, str) else styles
    drawn = world.split(split, seed=seed, size=size, styles=chosen)
    worded = [
        world.captions(drawn.scenes, RATES[wording], stream=f"caption {number}" if number else "caption")
        for number in range(WORDINGS)
    ]
    captions = [tuple(dict.fromkeys(of)) for of in zip(*worded, strict=True)]
    name = split if chosen is None else f"{split} {' '.join(chosen)}"
    return CaptionedSource(
        name, ArrayPictures(drawn.images, name=f"world {split} {seed}:"), captions, None, drawn.keys
    )
