"""How one method is trained: every number that decides it."""

from dataclasses import dataclass, field, replace
from typing import Literal

from radapter.losses import LossName
from radapter.methods import Method, MethodSettings
from radapter.training import Precision


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; `train_method` unpacks them.

    Attributes:
        settings: what users set of a method; `of` ignores them for methods of other families.
        ema_decay: of the accumulated weights; "auto" fits it to the number of steps.
        loss: None for the method's own.
        margin, label_smoothing: None for the loss's own.
        learning_rate: None for the method's own.
        warmup_steps: None for a tenth of all steps.
        flip: None for the task's own, `FLIPPED`.
        checkpoint_every: steps; None for an epoch.
        checkpoint_minutes: after which a checkpoint is saved in any case; None for never.
        keep: the weights after the last epoch, or those of the epoch that ID validation likes best.
        fsdp: whether the weights are parted among the processes while they are trained.
    """

    settings: MethodSettings = field(default_factory=MethodSettings)
    ema_decay: float | Literal["auto"] = "auto"
    loss: LossName | None = None
    margin: float | None = None
    label_smoothing: float | None = None
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
        """Returns the recipe of a method: its settings, and what it fixes."""
        return replace(self, settings=method.settings(self.settings), **method.fixed_recipe)

    def with_own_loss(self, method: Method) -> "Recipe":
        """As in a comparison: every method has its own loss; margin and label smoothing are MPM-NCE's alone."""
        if method.losses[:1] == ("mpm-nce",):
            return replace(self, loss=None)
        return replace(self, loss=None, margin=None, label_smoothing=None)
