"""The recipe of the shipped encoder: four stages of pre-training, each a row.

Contrastive learning from scratch stays at chance on a CPU's budget, so the recipe starts from help that only a
drawn world can give (labels and masks) and ends without it.
"""

import dataclasses
import math

from radapter.world.phrases import WEB, Rates

WARMUP_STEPS = 100


@dataclasses.dataclass(frozen=True)
class Stage:
    """One part of the recipe.

    Attributes:
        name: of the stage.
        images: drawn in it.
        batch_size: images a step.
        lr: the highest learning rate, after the warm-up.
        noise: of the captions; None trains the image tower alone, without captions.
        helpers: weights of the class cross-entropy and of the mask loss at the start of the stage; they fade to
            zero by half-time where there are captions.
        difficulty: lowest and highest of the scenes, one draw a step; None raises it while the accuracy holds.
        scale_floor: of the logit scale at the start and from half-time on, rising exponentially. Learned freely
            the scale stays near 14.
        cosine: whether the learning rate decays to zero.
        text_only: whether the image tower stays as it is (its projection does not).
    """

    name: str
    images: int
    batch_size: int
    lr: float
    noise: Rates | None
    helpers: tuple[float, float] = (0.0, 0.0)
    difficulty: tuple[float, float] | None = (0.7, 1.5)
    scale_floor: tuple[float, float] = (14.0, 14.0)
    cosine: bool = True
    text_only: bool = False

    def lr_at(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0."""
        decay = math.cos(math.pi * (step / steps) / 2) ** 2 if self.cosine else 1.0
        return self.lr * min(1.0, (step + 1) / WARMUP_STEPS) * decay

    def helper_share(self, done: float) -> float:
        """How much of the helpers is left after a fraction `done` of the stage."""
        return 1.0 if self.noise is None else max(0.0, 1 - 2 * done)

    def scale_floor_at(self, done: float) -> float:
        """The floor under the logit scale after a fraction `done` of the stage."""
        low, high = self.scale_floor
        return low * float((high / low) ** min(1.0, 2 * done))


LESS_NOISE = Rates(synonym=0.3, hypernym=0.2, sibling=0.05, wrong=0.05, pair=0.1, careless=0.3)
# The classes of a pair swap names in 42 of 100 captions: the features stay better than the names that zero-shot
# relies on, so that fine-tuning has something to repair in every style beside the shortcut that it may learn.
CONFUSED = Rates(synonym=0.15, pair=0.42, careless=0.3)

STAGES = (
    Stage("objects", 90_000, 128, 1e-3, None, helpers=(1.0, 2.0), difficulty=None, cosine=False),
    Stage("pairs", 160_000, 256, 1e-3, WEB, helpers=(1.0, 2.0), difficulty=(0.7, 1.2)),
    Stage("long", 700_000, 320, 8e-4, LESS_NOISE, helpers=(0.5, 0.5), scale_floor=(14.0, 50.0)),
    Stage("names", 100_000, 320, 6e-4, CONFUSED, scale_floor=(50.0, 50.0), text_only=True),
)
