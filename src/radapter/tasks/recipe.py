"""The settings that decide how one method is trained."""

from dataclasses import dataclass, field, replace
from typing import Literal

from radapter.losses import LossName
from radapter.methods import Method, MethodSettings
from radapter.training import Precision


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; `config.schema` documents those that are keys of run.yaml.

    Attributes:
        settings: of a method; `of` ignores them for methods of other families.
        loss, margin, label_smoothing, learning_rate: None is the method's own, or that of its loss.
        anchor: weight of the term of `methods.anchor`; None or 0 leaves it out.
        anchor_words: added to its vocabulary.
        train_scale: whether contrastive methods train the temperature, and SigLIP's bias; None is no.
        max_bad: share of corrupt images above which training fails.
        fsdp: whether weights are sharded across processes.
    """

    settings: MethodSettings = field(default_factory=MethodSettings)
    ema_decay: float | Literal["auto"] = "auto"
    loss: LossName | None = None
    margin: float | None = None
    label_smoothing: float | None = None
    anchor: float | None = None
    anchor_words: tuple[str, ...] = ()
    train_scale: bool | None = None
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float | None = None
    weight_decay: float = 0.0
    warmup_steps: int | None = None
    precision: Precision = "fp32"
    grad_clip: float | None = 1.0
    crop_scale: tuple[float, float] = (0.9, 1.0)
    flip: bool | None = None
    workers: int = 0
    eval_batch_size: int = 256
    checkpoint_every: int | None = None
    checkpoint_minutes: float | None = 15.0
    chunk_size: int | None = None
    gradient_checkpointing: bool = False
    max_skipped: int = 10
    max_bad: float = 0.01
    keep: Literal["last", "best"] = "last"
    fsdp: bool = False

    def of(self, method: Method) -> "Recipe":
        """Return the recipe with the method's settings and the values that it fixes."""
        return replace(self, settings=method.settings(self.settings), **method.fixed_recipe)

    def with_own_loss(self, method: Method) -> "Recipe":
        """Return the recipe for a comparison: the method's own loss; margin and label smoothing only for MPM-NCE,
        and the anchor and a trained temperature only for contrastive methods."""
        own = self if method.is_contrastive else replace(self, anchor=None, anchor_words=(), train_scale=None)
        if method.losses[:1] == ("mpm-nce",):
            return replace(own, loss=None)
        return replace(own, loss=None, margin=None, label_smoothing=None)
