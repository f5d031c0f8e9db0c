"""The keys of run.yaml that all tasks have: their types, ranges and defaults.

A task adds its data and its own keys: classification.py, retrieval.py, segmentation.py. docs/configuration.md lists
the same keys; a test compares the two. Error messages read ranges from these annotations (problems.py).
"""

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from radapter.config.methods import DEFAULT_METHOD, MethodOf, NamedSettings
from radapter.config.sources import CorruptedCopy
from radapter.data.dividing import divided
from radapter.data.paths import PATH, PATH_OR_NAME, with_absolute_paths
from radapter.data.source import Reading, Source
from radapter.data.wording import Accepts
from radapter.errors import did_you_mean
from radapter.losses import LossName
from radapter.methods import unknown_method
from radapter.processes import TIMEOUT_MINUTES
from radapter.runs.trackers import PROJECT, Tracking
from radapter.tasks.recipe import Recipe


def _crop_scale(value: object) -> object:
    if isinstance(value, (list, tuple)) and len(value) == 2 and not any(isinstance(v, bool) for v in value):
        low, high = value
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and 0 < low <= high <= 1:
            return (float(low), float(high))
    raise ValueError("must be [low, high] with 0 < low <= high <= 1")


def _rates(value: object) -> object:
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        rates = [rate for rate in value.values() if isinstance(rate, int | float) and 0 < rate < float("inf")]
        if len(rates) == len(value) and not any(isinstance(rate, bool) for rate in rates):
            return {name: float(rate) for name, rate in value.items()}
    raise ValueError("must be a mapping of methods to learning rates > 0, such as {full: 1e-4}")


def key(default: Any, description: str, **limits: Any) -> Any:
    """Return pydantic's field of a key with a default."""
    return Field(default, description=description, **limits)


METHOD: Any = key(
    DEFAULT_METHOD,
    "what is trained: a name that `radapter methods` lists, or a mapping of it and its settings",
    validate_default=True,
)
SELECT = "what data.id_val selects"
SELECT_BY = "metric on data.id_val that selects learning rate, epoch and alpha"


class Section(BaseModel):
    """Keys that are checked strictly and cannot be assigned."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _with_absolute_paths(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A stored run can be used from any folder."""
        return with_absolute_paths(dump(self), type(self).model_fields)


class CommonData(Section):
    """The data sets; each task has its own kinds of source."""

    source_kinds: ClassVar[Sequence[type[Source]]] = ()

    train: Any
    id_val: Any = None
    id_test: Any
    ood: dict[str, Any] = {}
    max_pixels: int = key(Reading.max_pixels, "larger images are refused from their header", ge=1)
    max_bad: float = key(Reading.max_bad, "share of corrupt images above which a run fails", ge=0, le=1)

    @classmethod
    def divided(cls, source: dict[str, Any]) -> dict[str, Any]:
        """Return `train`, `id_val` and `id_test` of one source that `data` names for all three."""
        return divided(source)

    @field_validator("ood", "transfer", mode="before", check_fields=False)
    @classmethod
    def _every_set_has_a_name(cls, value: object, info: ValidationInfo) -> object:
        given = value if isinstance(value, dict) else {}
        keys = [kind.key() for kind in cls.source_kinds]
        kind = next((key for key in keys if not isinstance(given.get(key, {}), dict)), None)
        if kind is not None:
            name = "corrupted" if kind == "corrupt" else "NAME"
            raise ValueError(
                f"must give every set a name. Write {info.field_name}: {{{name}: {{{kind}: {given[kind]}"
                f"{', ...' if len(given) > 1 else ''}}}}}."
            )
        return value


class SelectConfig(Section):
    """What is chosen on data.id_val, and by which figure."""

    alpha: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = key(
        "auto",
        "interpolation between the zero-shot model, 0, and the trained one, 1, after training; auto is the "
        "smallest alpha within one paired standard error of the best on data.id_val",
    )
    by: str


class LossConfig(Section):
    """What training minimises."""

    name: LossName | None = key(None, "the loss; null is the method's own")
    margin: Annotated[float, Field(ge=0)] | None = key(
        None, "mpm-nce: added to the cosine of negatives; null is the paper's 0.05"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = key(
        None,
        "share of the target given to negatives; null is the paper's 0.02 for mpm-nce, and 0 for cross-entropy",
    )
    anchor: Annotated[float, Field(ge=0)] | None = key(
        None,
        "contrastive methods: weight of a term that keeps the model near its start on the texts of a broad "
        "vocabulary; null is none",
    )
    train_scale: bool | None = key(
        None,
        "contrastive methods: whether the temperature is trained, and with siglip the bias; null leaves both "
        "as they are",
    )
    anchor_words: list[str] = key([], "words that are added to the vocabulary of loss.anchor")


class TrainConfig(Section):
    """How long, how fast and how exactly; the defaults are those of `Recipe`."""

    epochs: int = key(Recipe.epochs, "passes over data.train", ge=1, le=1_000_000)
    batch_size: int = key(Recipe.batch_size, "images per optimizer step, over all processes", ge=1)
    lr: Annotated[float, Field(gt=0)] | None = key(
        Recipe.learning_rate,
        "peak learning rate of AdamW for the towers, or for the head where nothing else is trained; a trained "
        "head's own rate keeps its ratio to it. Null is the rate of the method's source for CLIP ViT-B, times 768 "
        "/ width of the image tower; train prints it",
    )
    weight_decay: float = key(Recipe.weight_decay, "AdamW's decoupled weight decay", ge=0)
    warmup_steps: Annotated[int, Field(ge=0)] | None = key(
        Recipe.warmup_steps, "steps of linear warm-up before the cosine; null is a tenth of all steps"
    )
    precision: Literal["fp32", "bf16", "fp16"] = key(Recipe.precision, "arithmetic of the towers")
    grad_clip: Annotated[float, Field(gt=0)] | None = key(
        Recipe.grad_clip, "largest norm of the gradient; null does not clip"
    )
    crop_scale: Annotated[
        tuple[float, float],
        PlainValidator(_crop_scale),
        Accepts("[low, high] with 0 < low <= high <= 1"),
    ] = key(Recipe.crop_scale, "[low, high] of the area kept by the random crop")
    flip: bool | None = key(
        Recipe.flip,
        "whether a random half of the images is mirrored; null mirrors in classification and "
        "segmentation, not in retrieval, whose captions distinguish left from right",
    )
    ema_decay: Literal["auto"] | Annotated[float, Field(ge=0, lt=1)] = key(
        Recipe.ema_decay, "decay of the accumulated weights; auto is 1 - 25 / steps, between 0 and 0.999"
    )
    workers: int = key(Recipe.workers, "threads that decode images; 0 decodes in the main thread", ge=0)
    eval_batch_size: int = key(Recipe.eval_batch_size, "images per evaluation batch", ge=1)
    checkpoint_every: Annotated[int, Field(ge=1)] | None = key(
        Recipe.checkpoint_every, "steps between checkpoints; null is an epoch"
    )
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = key(
        Recipe.checkpoint_minutes, "minutes after which a checkpoint is saved in any case; null disables it"
    )
    timeout_minutes: float = key(
        TIMEOUT_MINUTES,
        "minutes that a process waits for another process of the run",
        gt=0,
    )
    keep: Literal["last", "best"] = key(
        Recipe.keep, "the weights after the last epoch, or those of the epoch that is best on data.id_val"
    )
    chunk_size: Annotated[int, Field(ge=1)] | None = key(
        Recipe.chunk_size,
        "images, and captions, encoded at a time, so that memory does not grow with the "
        "batch; the step is the same, and each is encoded twice. Null encodes the whole batch",
    )
    fsdp: bool = key(
        Recipe.fsdp,
        "whether the weights are sharded across processes while they are trained (FSDP2), for towers that do not "
        "fit one device; the result is the same",
    )
    gradient_checkpointing: bool = key(
        Recipe.gradient_checkpointing,
        "whether blocks are recomputed in the backward pass: the same step, less memory, more time",
    )
    max_skipped: int = key(
        Recipe.max_skipped,
        "number of consecutive steps with a non-finite loss or gradient that ends a run",
        ge=1,
    )


TRAIN_KEYS = tuple(each.name for each in fields(Recipe) if each.name in TrainConfig.model_fields)
"""The keys of `train` that are settings of a recipe with the same name."""


class CompareConfig(Section):
    """The search of learning rates. `radapter compare` reads it, and nothing else does."""

    rates: Annotated[
        dict[str, float], PlainValidator(_rates), Accepts("a mapping of methods to learning rates > 0")
    ] = key(
        {},
        "method: the centre of its learning rates, such as {full: 1e-4}; the default is the "
        "method's default rate",
    )
    points: int = key(
        5,
        "learning rates tried for each method, half a decade apart around the centre; odd. 1 searches nothing",
        ge=1,
    )

    @field_validator("points")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"must be odd, so that the centre is one of the points. Use {value + 1}.")
        return value


class EvaluationConfig(Section):
    """What is evaluated after training."""

    alphas: (
        Literal["all", "chosen"] | Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
    ) = key(
        "all",
        "alphas at which the test sets are evaluated: all is 0, 0.1 ... 1; chosen is 0, the "
        "chosen alpha, the paper's and 1; a list is evaluated in addition to 0, the chosen "
        "alpha and 1",
    )


class CommonConfig(Section):
    """A whole run.yaml; each task adds its own keys."""

    methods: ClassVar[MethodOf]
    task: str
    model: Annotated[str, PATH_OR_NAME] = Field(
        description="world:tiny, a local folder, hf:ID, open_clip:ARCH, open_clip:ARCH/WEIGHTS or "
        "open_clip:hf-hub:ID"
    )
    method: NamedSettings
    out: Annotated[str, PATH, AfterValidator(os.path.expanduser)] = Field(
        description="run directory; default: runs/ and the name of the YAML file"
    )
    seed: int = key(0, "fixes weights, order, dropping and augmentation", ge=0, lt=2**63)
    allow_download: bool = key(False, "whether models and data may come from the hub")
    tracking: Tracking = key(
        "none",
        "tracker that gets settings, metrics and results in addition to the files (extra: tracking; for mlflow: "
        "mlflow)",
    )
    tracking_project: str = key(PROJECT, "project of the run in the tracker")
    tracking_name: str | None = key(None, "name of the run in the tracker; default: that of its directory")
    data: CommonData
    select: SelectConfig
    loss: LossConfig = key(LossConfig(), "the loss")
    train: TrainConfig = key(TrainConfig(), "the loop")
    compare: CompareConfig = key(CompareConfig(), "the search of `radapter compare`")
    evaluation: EvaluationConfig = key(EvaluationConfig(), "what is evaluated")

    @property
    def reading(self) -> Reading:
        """Return how the data sets are read."""
        return Reading(self.data.max_pixels, self.data.max_bad, self.allow_download)

    @model_validator(mode="after")
    def _rates_are_of_methods_that_train(self) -> Self:
        trained = [name for name, method in self.methods.table.items() if method.build is not None]
        for name in self.compare.rates:
            if name not in trained:
                raise ValueError(
                    f"compare.rates must name methods that train: {', '.join(trained)}. Got '{name}'."
                    f"{unknown_method(name, self.task)}"
                )
        return self

    @model_validator(mode="after")
    def _copies_have_originals(self) -> Self:
        tests = self.data.id_test
        for name, copy in self.data.ood.items():
            if not isinstance(copy, CorruptedCopy):
                continue
            if copy.corrupt not in tests:
                raise ValueError(
                    f"data.ood.{name}.corrupt must name a set of data.id_test: {', '.join(tests)}. Got "
                    f"'{copy.corrupt}'.{did_you_mean(copy.corrupt, tests)}"
                )
            original = tests[copy.corrupt]
            if isinstance(original, Source) and "corrupt" in original.model_fields_set:
                raise ValueError(
                    f"data.ood.{name} must copy a test set without corruptions. '{copy.corrupt}' has some already. "
                    "Copy another set."
                )
        return self

    @model_validator(mode="after")
    def _selection_has_data(self) -> Self:
        method = self.methods.table[self.method.name]
        if self.data.id_val is None and self.select.alpha == "auto" and method.alpha == "auto":
            raise ValueError(
                "data.id_val is required while select.alpha is auto, chosen on it. Give data.id_val, such as"
                " data.train with 'part: [0.8, 1.0]' beside 'part: [0.0, 0.8]' for training, or give "
                "select.alpha a number."
            )
        if self.data.id_val is None and self.methods.settings(self.method).needs_validation:
            raise ValueError(
                f"data.id_val is required for method '{self.method.name}', which searches its alpha and beta on it. "
                "Give data.id_val, or give method.alpha and method.beta numbers."
            )
        if self.data.id_val is None and (self.train.keep == "best" or method.averages in ("greedy", "lines")):
            raise ValueError(
                "data.id_val is required while train.keep is best or the method is greedy-soup or lines: all choose "
                "on it. Give data.id_val, or set train.keep=last."
            )
        return self
