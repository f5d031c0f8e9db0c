"""Losses over a batch of image and text features: one paper, one file, one entry in `LOSSES`.

Every loss takes unit-norm features and an exponentiated logit scale, computes in float32 or wider and returns
a scalar in nats: `mpm_nce` (the paper's; `mpm_nce_tiled` is the same without the B x B matrix), `clip_loss`,
`head_cross_entropy` (over a linear head) and `siglip_loss`.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from radapter.errors import ConfigError
from radapter.losses.clip import LOSS as CLIP
from radapter.losses.clip import clip_loss
from radapter.losses.cross_entropy import LOSS as CROSS_ENTROPY
from radapter.losses.cross_entropy import head_cross_entropy
from radapter.losses.loss import FeatureLoss, Loss, Parts
from radapter.losses.mpm_nce import LOSS as MPM_NCE
from radapter.losses.mpm_nce import SINGLE_POSITIVE, mpm_nce
from radapter.losses.siglip import LOSS as SIGLIP
from radapter.losses.siglip import siglip_loss
from radapter.losses.tiled import mpm_nce_tiled

__all__ = [
    "LOSSES", "FeatureLoss", "Loss", "LossName", "Parts", "bound_loss", "clip_loss", "head_cross_entropy",
    "mpm_nce", "mpm_nce_tiled", "siglip_loss",
]  # fmt: skip

LOSSES: dict[str, Loss] = {
    loss.name: loss for loss in (MPM_NCE, SINGLE_POSITIVE, CLIP, SIGLIP, CROSS_ENTROPY)
}

if TYPE_CHECKING:
    LossName = str
else:
    LossName = Literal[tuple(LOSSES)]


def bound_loss(
    name: LossName, *, margin: float | None, label_smoothing: float | None, logit_bias: Tensor | None
) -> FeatureLoss:
    """Returns a loss with its settings bound; None is the loss's default. SigLIP's needs the model's logit bias.

    Raises:
        ConfigError: A setting that this loss does not have, or SigLIP's loss for a model without a logit bias.
    """
    loss = LOSSES[name]
    given: dict[str, Any] = {"margin": margin, "label_smoothing": label_smoothing}
    given = {key: value for key, value in given.items() if value is not None}
    for key, value in given.items():
        if key not in loss.settings:
            readers = ", ".join(other.name for other in LOSSES.values() if key in other.settings)
            raise ConfigError(f"loss.{key} is for {readers}. Got {value} with '{name}'. Set loss.{key}=null.")
    if loss.reads_logit_bias:
        if logit_bias is None:
            raise ConfigError(f"loss.name {name} needs a model with a logit bias; it has none. Use mpm-nce.")
        given["logit_bias"] = logit_bias.detach()  # frozen, as the temperature
    return partial(loss.function, **{**loss.settings, **given})
