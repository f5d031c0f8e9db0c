"""One entry of the list of methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from peft import PeftModel
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from radapter.adapter.config import TOWERS
from radapter.losses import LOSSES, FeatureLoss, LossName
from radapter.methods.learner import Learner
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead


class MethodSettings(BaseModel):
    """What users set of a method, `method: {name: NAME, KEY: VALUE}` in run.yaml. Most methods have no settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @property
    def needs_validation(self) -> bool:
        """Whether something is chosen on ID validation after training, by the method's `choose`."""
        return False

    @property
    def projection(self) -> float:
        """The strength of the optimizer's projection towards the starting weights; 0 for none."""
        return 0.0


class EncodedOnce(MethodSettings):
    """Settings of methods that train a head on image features, which are encoded once before training."""

    views: int = Field(
        default=10,
        ge=1,
        description="augmentations of an image that are encoded before training; epoch e trains on number e modulo "
        "views",
    )


class EncodedImages(NamedTuple):
    """Features of a training set, encoded before training."""

    features: Tensor  # (V, N, E), not normalised, of V augmentations of N images
    labels: Tensor  # (N,), int64


WeightRule = Literal["uniform", "greedy", "stock", "lines"]
"""Means of the trainings at all rates of a grid, of two seeds, and a scaling of one training by depth."""


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
    """A way of fine-tuning."""

    name: str  # as users write it
    summary: str  # what it trains, in a few words
    source: str  # the paper
    losses: tuple[LossName, ...]  # what it can be trained with; the first is the default
    learning_rate: float  # the source's peak rate for CLIP ViT-B (see `rates`): the towers', or a lone head's
    rate_source: str  # where that rate was published
    build: Build | None  # makes an encoder trainable; None if nothing is trained
    runs: str = ""  # the method whose training it shares, by default itself: `full` for WiSE-FT
    alpha: float | Literal["auto"] = "auto"  # of its row; "auto" is `select.alpha`
    settings_type: type[MethodSettings] = MethodSettings  # methods with one type of settings are a family
    fixed: Mapping[str, Any] = field(default_factory=dict)  # settings that users cannot set
    fixed_recipe: Mapping[str, Any] = field(default_factory=dict)  # what it fixes of the recipe
    after: str | None = None  # trained first, on half of the epochs; its head is this one's start
    averages: WeightRule | None = None  # how its weights come from those of trainings of `runs`
    head_learning_rate: float | None = None  # the trained head's peak rate at that of the towers
    part_of: str | None = None  # the method of which it changes one part
    towers: tuple[str, ...] = TOWERS  # what it trains, unless its settings name others
    head_type: type[Head] = LinearHead  # of the head in its run directory, if it has one
    start: Callable[[Head, EncodedImages], None] | None = None  # sets the head up before training
    choose: Callable[[Head, MethodSettings, Tensor, Tensor], None] | None = None
    """Sets values of the trained head by features (N, E) of unit norm and labels (N,) of ID validation."""
    check: Callable[[DualEncoder, MethodSettings], None] | None = None  # raises if the model lacks something
    unmergeable: str = ""  # why its weights cannot be merged; empty if they can
    counted: str = ""  # the number of trained parameters in words, if the training set decides it

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", self.runs or self.name)

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings that users can set."""
        return tuple(key for key in self.settings_type.model_fields if key not in self.fixed)

    @property
    def is_contrastive(self) -> bool:
        """Whether it learns from texts, rather than a head by its labels."""
        return bool(self.losses) and not LOSSES[self.losses[0]].reads_head

    @property
    def is_optimized(self) -> bool:
        """Whether the training loop runs: zero-shot and Tip-Adapter have no learning rate."""
        return self.learning_rate > 0

    @property
    def spans_rates(self) -> bool:
        """Whether its weights come from the trainings at all learning rates of a grid."""
        return self.averages in ("uniform", "greedy")

    @property
    def draws(self) -> int:
        """The number of trainings at each rate, which differ in their seed."""
        return 2 if self.averages == "stock" else 1

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
            own |= given.model_extra or {}  # options that only the method's own library knows
            settings |= {key: value for key, value in own.items() if value is not None}
        return self.settings_type(**settings, **self.fixed)
