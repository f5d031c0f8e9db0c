"""What to train and how: one file a method, one row in this table."""

from functools import partial

from torch import Tensor

from radapter.errors import ConfigError, did_you_mean
from radapter.losses import clip_loss, mpm_nce, siglip_loss
from radapter.methods import flyp, full, lora, r_adapter, wise_ft, zero_shot
from radapter.methods.learner import (
    ContrastiveLearner,
    ContrastiveLoss,
    HeadLearner,
    LabelledPairs,
    Learner,
    count_trained,
    trained_parameters,
)
from radapter.methods.method import Built, LossName, Method

__all__ = [
    "METHODS",
    "Built",
    "ContrastiveLearner",
    "ContrastiveLoss",
    "HeadLearner",
    "LabelledPairs",
    "Learner",
    "LossName",
    "Method",
    "contrastive_loss",
    "count_trained",
    "find_method",
    "trained_parameters",
]

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        zero_shot.METHOD,
        full.METHOD,
        flyp.METHOD,
        lora.METHOD,
        wise_ft.METHOD,
        r_adapter.METHOD,
        r_adapter.WITH_HEAD,
    )
}


def find_method(name: str) -> Method:
    """The row of that name.

    Raises:
        ConfigError: there is none; the message proposes the nearest.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise ConfigError(f"method must be one of {known}. Got '{name}'.{did_you_mean(name, METHODS)}")
    return METHODS[name]


def contrastive_loss(
    name: LossName, *, margin: float, label_smoothing: float, logit_bias: Tensor | None
) -> ContrastiveLoss:
    """A loss of paired features with its settings bound.

    Args:
        name: "mpm-nce", "clip" or "siglip".
        margin: delta of MPM-NCE.
        label_smoothing: eps of MPM-NCE.
        logit_bias: scalar, for SigLIP's loss; None for models without one.

    Raises:
        ConfigError: SigLIP's loss for a model without a logit bias.
    """
    if name == "mpm-nce":
        return partial(mpm_nce, margin=margin, label_smoothing=label_smoothing)
    if name == "siglip":
        if logit_bias is None:
            raise ConfigError(
                "loss.name siglip needs a model with a logit bias. This one has none. Use mpm-nce."
            )
        bias = logit_bias

        def siglip(
            image_features: Tensor, text_features: Tensor, targets: Tensor, logit_scale: Tensor
        ) -> Tensor:
            return siglip_loss(image_features, text_features, targets, logit_scale, bias)

        return siglip

    def clip(image_features: Tensor, text_features: Tensor, targets: Tensor, logit_scale: Tensor) -> Tensor:
        # CLIP's loss knows no classes: another image of the same class is a negative, as in FLYP's experiments.
        return clip_loss(image_features, text_features, logit_scale)

    return clip
