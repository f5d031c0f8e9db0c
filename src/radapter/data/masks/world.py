"""Masked and captioned scenes of the synthetic benchmark, drawn when opened and kept in memory."""

from pydantic import Field

from radapter.data.masks.label_maps import ArrayMaps
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.masks.source import MaskSource
from radapter.data.source import Reading
from radapter.data.world_scenes import Correlation, Difficulty, Seed, Size, Styles, drawn_scenes
from radapter.world import CLASSES

BACKGROUND = "background"


class MaskWorldSource(MaskSource):
    """Scenes of the synthetic benchmark, with the class of every pixel."""

    world: str = Field(description="the split: scenes holds all styles and often two objects")
    seed: Seed = 0
    size: Size = None
    styles: Styles = None
    correlation: Correlation = None
    difficulty: Difficulty = None
    background: bool = Field(
        default=True, description="whether what is no object is a class, the first; false ignores it"
    )

    def read(self, reading: Reading) -> PairedMaskDataset:
        """Draws the scenes with the world's own captions; `reading` has no effect."""
        drawn, name, images = drawn_scenes(
            self.world,
            seed=self.seed,
            size=self.size,
            correlation=self.correlation,
            difficulty=self.difficulty,
            styles=self.styles,
        )
        return PairedMaskDataset(
            images,
            ArrayMaps(drawn.class_masks, name=f"mask of world {self.world} {self.seed}:"),
            (BACKGROUND, *CLASSES) if self.background else CLASSES,
            ignore=None,
            reduce_zero_label=not self.background,
            keys=drawn.keys,
            captions=drawn.captions,
            name=name,
        )
