"""One entry of the list of methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from peft import PeftModel
from pydantic import BaseModel, ConfigDict

from radapter.adapter.config import TOWERS
from radapter.losses import FeatureLoss, LossName
from radapter.methods.learner import Learner
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead

Average = Literal["uniform", "greedy"]


class MethodSettings(BaseModel):
    """What users set of a method, `method: {name: NAME, KEY: VALUE}` in run.yaml. Most methods have no settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Built(NamedTuple):
    """A learner ready to train, and PEFT's handle on its adapters where it has some."""

    learner: Learner
    adapters: PeftModel | None


class Build(Protocol):
    """Makes an encoder trainable in the method's way; the encoder is changed in place."""

    def __call__(
        self, encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings
    ) -> Built:
        """Builds from the zero-shot head, the loss of features, and the method's settings."""


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
        alpha: of its row: a number, or "auto" for `select.alpha`, by default the rule of one paired standard error
            on ID validation.
        build: how an encoder is made trainable; None where nothing is trained.
        runs: the method whose training it shares, where that is another (WiSE-FT interpolates `full`).
        settings_type: what users set of it. Methods with one type of settings are a family.
        fixed: the settings that it fixes; users cannot set them.
        fixed_recipe: what it fixes of the recipe.
        after: the method that is trained first, on half of the epochs, and whose head this one starts from.
        averages: its weights are this average of the trainings of `runs` at every learning rate of a grid.
        head_learning_rate: the trained head's peak rate at that of the towers; None where no head is trained.
        part_of: the method of which it changes one part; None for a method of its own.
        towers: the towers that it trains, unless its settings name others; none where the head alone is trained,
            whose rate does not depend on the tower's width.
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
    settings_type: type[MethodSettings] = MethodSettings
    fixed: Mapping[str, Any] = field(default_factory=dict)
    fixed_recipe: Mapping[str, Any] = field(default_factory=dict)
    after: str | None = None
    averages: Average | None = None
    head_learning_rate: float | None = None
    part_of: str | None = None
    towers: tuple[str, ...] = TOWERS

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings that users can set."""
        return tuple(key for key in self.settings_type.model_fields if key not in self.fixed)

    @property
    def trains_head(self) -> bool:
        """Whether it trains a classification head, which tells apart classes that the text tower does not."""
        return self.head_learning_rate is not None

    def settings(self, given: MethodSettings) -> MethodSettings:
        """Returns its own settings: what it fixes, then what was given for its family, then defaults.

        Args:
            given: the settings of any method; those of another family are ignored.
        """
        settings = {"towers": list(self.towers)} if "towers" in self.keys else {}
        if type(given) is self.settings_type:
            own = {key: getattr(given, key) for key in given.model_fields_set if key in self.keys}
            settings |= {key: value for key, value in own.items() if value is not None}
        return self.settings_type(**settings, **self.fixed)
