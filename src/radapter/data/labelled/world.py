"""A split of the synthetic benchmark: drawn when opened, kept in memory."""

from pydantic import Field

from radapter.data.labelled.source import LabelledImages, LabelledSource
from radapter.data.source import Reading
from radapter.data.world_scenes import Correlation, Difficulty, Seed, Size, drawn_scenes


class WorldSource(LabelledSource):
    """Scenes of the synthetic benchmark, drawn when the run starts."""

    world: str = Field(
        description="the split: train, id_val, id_test, a shift, or one of the tasks colour and pattern"
    )
    seed: Seed = 0
    size: Size = None
    correlation: Correlation = None
    difficulty: Difficulty = None

    def read(self, reading: Reading) -> LabelledImages:
        """Draws the scenes; `reading` is ignored. Raises ConfigError and DataError as `drawn_scenes`."""
        drawn, name, images = drawn_scenes(
            self.world,
            seed=self.seed,
            size=self.size,
            correlation=self.correlation,
            difficulty=self.difficulty,
        )
        return LabelledImages(name, images, drawn.labels.tolist(), tuple(drawn.classnames), drawn.keys)
