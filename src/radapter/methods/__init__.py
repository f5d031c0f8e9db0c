"""What to train and how: one file a method, one row in this table."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from radapter.errors import ConfigError, did_you_mean
from radapter.losses import clip_loss, head_cross_entropy, mpm_nce, mpm_nce_tiled, siglip_loss
from radapter.losses.gather import Parts
from radapter.methods import (
    flyp,
    full,
    image_tower,
    l2_sp,
    linear_probe,
    lora,
    lp_ft,
    mask_fill,
    r_adapter,
    soups,
    wise_ft,
    zero_shot,
)
from radapter.methods.learner import (
    ContrastiveLearner,
    FeatureLoss,
    HeadLearner,
    LabelledPairs,
    Learner,
    count_trained,
    learns,
    trained_parameters,
)
from radapter.methods.method import Built, LossName, Method
from radapter.methods.soups import greedy_soup, uniform_soup
from radapter.zeroshot import LinearHead

__all__ = [
    "GROUPS",
    "METHODS",
    "RETRIEVAL",
    "SEGMENTATION",
    "TABLES",
    "Built",
    "ContrastiveLearner",
    "FeatureLoss",
    "HeadLearner",
    "LabelledPairs",
    "Learner",
    "LossName",
    "Method",
    "bound_loss",
    "count_trained",
    "find_method",
    "find_methods",
    "greedy_soup",
    "groups_of",
    "learns",
    "trained_parameters",
    "uniform_soup",
]

PAPER_MARGIN, PAPER_SMOOTHING = 0.05, 0.02
TILED_FROM = 2048  # rows of a batch; benchmarks/loss: below it the dense form is as fast
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        zero_shot.METHOD,
        linear_probe.METHOD,
        full.METHOD,
        flyp.METHOD,
        lp_ft.METHOD,
        l2_sp.METHOD,
        mask_fill.METHOD,
        soups.UNIFORM,
        soups.GREEDY,
        lora.METHOD,
        lora.RANK_STABILISED,
        wise_ft.METHOD,
        r_adapter.METHOD,
        r_adapter.WITH_HEAD,
        *r_adapter.PARTS,
    )
}


def _trained_as(full: Method, method: Method) -> Method:
    """A method that shares the training of `full`, where a task's `full` is another one."""
    return replace(
        method,
        losses=full.losses,
        build=full.build,
        learning_rate=full.learning_rate,
        rate_source=full.rate_source,
        head_learning_rate=full.head_learning_rate,
    )


_BOTH_TOWERS = replace(
    flyp.METHOD,
    name="full",
    summary="both towers, CLIP's loss, not interpolated",
    runs="full",
    alpha=full.METHOD.alpha,
    reads=full.METHOD.reads,
)
RETRIEVAL: dict[str, Method] = {
    method.name: method
    for method in (
        replace(zero_shot.METHOD, summary="nothing"),
        _BOTH_TOWERS,
        lora.METHOD,
        lora.RANK_STABILISED,
        *(_trained_as(_BOTH_TOWERS, method) for method in (wise_ft.METHOD, soups.UNIFORM, soups.GREEDY)),
        r_adapter.METHOD,
        *(part for part in r_adapter.PARTS if part.losses == r_adapter.METHOD.losses),
    )
}
"""Without a head there is one way of fine-tuning everything: both towers, contrastively."""
_IMAGE_TOWER = replace(
    full.METHOD,
    summary="image tower, MPM-NCE, not interpolated",
    losses=r_adapter.METHOD.losses,
    build=image_tower.build,
    head_learning_rate=None,
)
SEGMENTATION: dict[str, Method] = {
    method.name: method
    for method in (
        zero_shot.METHOD,
        _IMAGE_TOWER,
        *lora.IMAGE_TOWER,
        *(_trained_as(_IMAGE_TOWER, method) for method in (wise_ft.METHOD, soups.UNIFORM, soups.GREEDY)),
        replace(r_adapter.METHOD, summary="linear adapters in the image tower, MPM-NCE"),
        *(
            part
            for part in r_adapter.PARTS
            if part.losses == r_adapter.METHOD.losses and "towers" not in part.adapter_settings
        ),
    )
}
"""The image tower learns regions, the text tower keeps the class names; all have R-Adapter's loss."""
TABLES: dict[str, dict[str, Method]] = {
    "classification": METHODS,
    "retrieval": RETRIEVAL,
    "segmentation": SEGMENTATION,
}
"""The methods of each task."""
GROUPS: dict[str, tuple[str, ...]] = {
    "foundation": ("zero-shot", "full", "flyp", "lora", "wise-ft", "r-adapter", "r-adapter+head"),
    "all": tuple(name for name, method in METHODS.items() if method.part_of is None),
    "ablation": ("zero-shot", "r-adapter", *(part.name for part in r_adapter.PARTS)),
}
"""Names for several methods at once."""


def find_method(name: str, task: str = "classification") -> Method:
    """The row of that name in the table of a task.

    Raises:
        ConfigError: there is none; the message proposes the nearest.
    """
    table = TABLES[task]
    if name not in table:
        known = ", ".join(table)
        raise ConfigError(
            f"method must be one of {known} for {task}. Got '{name}'.{did_you_mean(name, table)}"
        )
    return table[name]


def find_methods(names: Sequence[str], task: str = "classification") -> list[Method]:
    """The rows of those names, or of the groups of the task, each once, in the order given.

    Raises:
        ConfigError: there is no such method or group for the task; the message proposes the nearest.
    """
    table, groups = TABLES[task], groups_of(task)
    known = (*table, *groups)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"methods must be among {', '.join(known)} for {task}. Got '{name}'.{did_you_mean(name, known)}"
            )
    return [table[row] for row in dict.fromkeys(row for name in names for row in groups.get(name, (name,)))]


def groups_of(task: str) -> dict[str, tuple[str, ...]]:
    """`GROUPS` with the methods that a task has."""
    return {group: tuple(name for name in names if name in TABLES[task]) for group, names in GROUPS.items()}


def bound_loss(
    name: LossName, *, margin: float | None, label_smoothing: float | None, logit_bias: Tensor | None
) -> FeatureLoss:
    """A loss with its settings bound.

    Args:
        name: which.
        margin: delta of MPM-NCE; None for the paper's 0.05.
        label_smoothing: eps of MPM-NCE, None for the paper's 0.02; or of cross-entropy, None for 0.
        logit_bias: scalar, for SigLIP's loss; None for models without one.

    Raises:
        ConfigError: a setting that this loss does not have, or SigLIP's loss for a model without a logit bias.
    """
    nce = ("mpm-nce", "single-positive")
    if margin is not None and name not in nce:
        raise ConfigError(
            f"loss.margin is for {' and '.join(nce)}. Got {margin} with '{name}'. Leave it out, or set "
            "loss.margin=null."
        )
    if label_smoothing is not None and name not in (*nce, "cross-entropy"):
        raise ConfigError(
            f"loss.label_smoothing is for {', '.join(nce)} and cross-entropy. Got {label_smoothing} with '{name}'. "
            "Leave it out, or set loss.label_smoothing=null."
        )
    match name:
        case "mpm-nce" | "single-positive":
            return partial(
                _mpm_nce if name == "mpm-nce" else _single_positive,
                margin=PAPER_MARGIN if margin is None else margin,
                label_smoothing=PAPER_SMOOTHING if label_smoothing is None else label_smoothing,
            )
        case "cross-entropy":
            return partial(_cross_entropy, label_smoothing=label_smoothing or 0.0)
        case "siglip":
            if logit_bias is None:
                raise ConfigError(
                    "loss.name siglip needs a model with a logit bias. This one has none. Use mpm-nce."
                )
            return partial(_siglip, logit_bias=logit_bias.detach())  # frozen, as the temperature
        case "clip":
            return _clip


def _mpm_nce(
    image_features: Tensor,
    text_features: Tensor,
    targets: Tensor,
    logit_scale: Tensor,
    parts: Parts | None = None,
    *,
    margin: float,
    label_smoothing: float,
) -> Tensor:
    """The dense form for batches whose matrix is small, the same value in tiles for the others."""
    if parts is None and len(image_features) < TILED_FROM:
        return mpm_nce(
            image_features,
            text_features,
            targets,
            logit_scale,
            margin=margin,
            label_smoothing=label_smoothing,
        )
    return mpm_nce_tiled(
        image_features,
        text_features,
        targets,
        logit_scale,
        margin=margin,
        label_smoothing=label_smoothing,
        process_group=None if parts is None else parts.group,
        batch_sizes=None if parts is None else parts.sizes,
    )


def _single_positive(
    image_features: Tensor,
    text_features: Tensor,
    targets: Tensor,
    logit_scale: Tensor,
    parts: Parts | None = None,
    *,
    margin: float,
    label_smoothing: float,
) -> Tensor:
    """MPM-NCE in which a sample's own caption is its only positive, for the paper's ablation."""
    first = 0 if parts is None else parts.own.start
    own = first + torch.arange(len(targets), device=targets.device)
    return _mpm_nce(
        image_features, text_features, own, logit_scale, parts, margin=margin, label_smoothing=label_smoothing
    )


def _clip(
    image_features: Tensor,
    text_features: Tensor,
    targets: Tensor,
    logit_scale: Tensor,
    parts: Parts | None = None,
) -> Tensor:
    # CLIP's loss knows no classes: another image of the same class is a negative, as in FLYP's experiments.
    if parts is None:
        return clip_loss(image_features, text_features, logit_scale)
    return _single_positive(
        image_features, text_features, targets, logit_scale, parts, margin=0.0, label_smoothing=0.0
    )


def _siglip(
    image_features: Tensor,
    text_features: Tensor,
    targets: Tensor,
    logit_scale: Tensor,
    parts: Parts | None = None,
    *,
    logit_bias: Tensor,
) -> Tensor:
    if parts is not None:
        image_features, text_features = parts.joined(image_features), parts.joined(text_features)
        targets = parts.joined(targets)
    return siglip_loss(image_features, text_features, targets, logit_scale, logit_bias)


def _cross_entropy(
    image_features: Tensor,
    head: LinearHead,
    targets: Tensor,
    logit_scale: Tensor,
    parts: Parts | None = None,
    *,
    label_smoothing: float,
) -> Tensor:
    if parts is not None:
        image_features, targets = parts.joined(image_features), parts.joined(targets)
    # the head's weight is scaled already: logit_scale is not used
    return head_cross_entropy(
        image_features, head.weight, head.bias, targets, label_smoothing=label_smoothing
    )
