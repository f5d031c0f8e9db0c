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


class MethodSettings(BaseModel):
    """What users set of a method, `method: {name: NAME, KEY: VALUE}` in run.yaml. Most methods have no settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Built(NamedTuple):
    """A learner ready to train, and the PeftModel of its adapters if it has some."""

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
        name: As users write it.
        summary: What it trains, in a few words.
        source: The paper.
        losses: The losses it can be trained with; the first is the default.
        learning_rate: The source's peak rate of the towers for CLIP ViT-B, whose image tower is 768 wide (see
            `rates`); the head's if only a head is trained.
        rate_source: Where that rate was published.
        build: Makes an encoder trainable; None if nothing is trained.
        runs: The method whose training it shares: `full` for WiSE-FT, itself for most.
        alpha: Of its row: a number, or "auto" for `select.alpha`.
        settings_type: What users set of it. Methods with one type of settings are a family.
        fixed: The settings that it fixes; users cannot set them.
        fixed_recipe: What it fixes of the recipe.
        after: The method that is trained first, on half of the epochs, and whose head this one starts from.
        averages: Its weights are this average of the trainings of `runs` at every learning rate of a grid.
        head_learning_rate: The trained head's peak rate at that of the towers; None if no head is trained.
        part_of: The method of which it changes one part; None for a method of its own.
        towers: The towers that it trains, unless its settings name others; empty if only a head is trained, whose
            rate does not depend on the tower's width.
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
    averages: Literal["uniform", "greedy"] | None = None
    head_learning_rate: float | None = None
    part_of: str | None = None
    towers: tuple[str, ...] = TOWERS

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings that users can set."""
        return tuple(key for key in self.settings_type.model_fields if key not in self.fixed)

    @property
    def trains_head(self) -> bool:
        """Whether it trains a classification head, which can separate classes with the same text features."""
        return self.head_learning_rate is not None

    def settings(self, given: MethodSettings) -> MethodSettings:
        """Its own settings: what it fixes, then what was given for its family, then defaults. `given` may be those
        of any method; those of another family are ignored."""
        settings = {"towers": list(self.towers)} if "towers" in self.keys else {}
        if type(given) is self.settings_type:
            own = {key: getattr(given, key) for key in given.model_fields_set if key in self.keys}
            settings |= {key: value for key, value in own.items() if value is not None}
        return self.settings_type(**settings, **self.fixed)
