"""Captioned scenes of the synthetic benchmark, drawn when opened, kept in memory.

A scene has up to WORDINGS different captions with more or less detail ("a car", "a cartoon of a red car on a blue
background"); the first is the world's own.
"""

from typing import Literal

from pydantic import Field

from radapter import world
from radapter.data.pairs.source import CaptionedImages, PairSource
from radapter.data.source import Reading
from radapter.data.world_scenes import Seed, Size, Styles, drawn_scenes

WORDINGS = 5
_RATES = {"clean": world.CLEAN, "full": world.FULL, "web": world.WEB}


class PairWorldSource(PairSource):
    """Captioned scenes of the synthetic benchmark, drawn when the run starts; each has up to five wordings."""

    world: str = Field(description="the split: scenes holds all styles and often two objects")
    seed: Seed = 0
    size: Size = None
    styles: Styles = None
    wording: Literal["clean", "full", "web"] = Field(
        default="clean",
        description="clean names random parts of a scene, full everything visible, web has errors like web captions",
    )

    def read(self, reading: Reading) -> CaptionedImages:
        """Draws the scenes; `reading` is ignored. Raises DataError as `drawn_scenes`."""
        drawn, name, images = drawn_scenes(self.world, seed=self.seed, size=self.size, styles=self.styles)
        rates = _RATES[self.wording]
        worded = [
            world.captions(drawn.scenes, rates, stream=f"caption {number}" if number else "caption")
            for number in range(WORDINGS)
        ]
        captions = [tuple(dict.fromkeys(of)) for of in zip(*worded, strict=True)]
        return CaptionedImages(name, images, captions, None, drawn.keys)
