"""One row of the table of methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from peft import PeftModel

from radapter.adapter import RAdapterConfig
from radapter.losses import FeatureLoss, LossName
from radapter.methods.learner import Learner
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead

Average = Literal["uniform", "greedy"]


class Built(NamedTuple):
    """A learner ready to train, and PEFT's handle on its adapters where it has some."""

    learner: Learner
    adapters: PeftModel | None


class Build(Protocol):
    """Makes an encoder trainable in the method's way; the encoder is changed in place."""

    def __call__(
        self, encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, adapter: RAdapterConfig
    ) -> Built:
        """Builds from the zero-shot head, the loss of features, and the adapter's settings."""


@dataclass(frozen=True)
class Method:
    """A way of fine-tuning.

    Attributes:
        name: as users write it.
        summary: what it trains, in a few words.
        source: the paper.
        losses: what it can be trained with; the first is its own.
        learning_rate: the source's peak rate of the towers for CLIP ViT-B, whose image tower is 768 wide; see
            `rates`. The head's where nothing else is trained.
        rate_source: where that rate was published.
        alpha: of its row: a number, or "auto" for `adapter.alpha`, by default the rule of one paired standard error
            on ID validation.
        build: how an encoder is made trainable; None where nothing is trained.
        runs: the method whose training it shares, where that is another (WiSE-FT interpolates `full`).
        reads: which settings of `adapter` it reads; another one set would do nothing.
        after: the method that is trained first, on half of the epochs, and whose head this one starts from.
        averages: its weights are this average of the trainings of `runs` at every learning rate of a grid.
        adapter_settings: what it fixes of the adapter, by the names of `RAdapterConfig`.
        settings: what it fixes of the recipe.
        head_learning_rate: the trained head's peak rate at that of the towers; None where no head is trained.
        part_of: the method of which it changes one part; None for a method of its own.
        trains_towers: False where the head alone is trained; its rate then does not depend on the tower's width.
    """

    name: str
    summary: str
    source: str
    losses: tuple[LossName, ...]
    learning_rate: float
    rate_source: str
    build: Build | None
    runs: str
    alpha: float | Literal["auto"] = "auto"
    reads: frozenset[str] = frozenset()
    after: str | None = None
    averages: Average | None = None
    adapter_settings: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    head_learning_rate: float | None = None
    trains_towers: bool = True
    part_of: str | None = None

    @property
    def trains_head(self) -> bool:
        """Whether it trains a classification head, which tells apart classes that the text tower does not."""
        return self.head_learning_rate is not None


OF_AN_AVERAGE = frozenset({"ema_decay"})
"""What every training reads: the decay of the accumulated weights."""
OF_AN_INTERPOLATION = OF_AN_AVERAGE | {"alpha"}
"""What a method reads whose alpha is chosen: every trained method but those that are defined at alpha 1."""
