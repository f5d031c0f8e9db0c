"""What every loss over a batch of features shares: checks, positives, and arithmetic in float32 or wider.

A cosine times a logit scale of 100 has steps of 0.5 in bfloat16, which is larger than most differences a loss
acts on. So every loss leaves autocast and computes in float32, or in float64 where the features are.
"""

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from radapter.errors import ConfigError


def check_features(image_features: Tensor, text_features: Tensor) -> None:
    """Raises where the two feature matrices are not one (B, E) shape with at least one row.

    Raises:
        ValueError: the shapes, with what they must be.
    """
    shape = tuple(image_features.shape)
    if image_features.ndim != 2 or shape[0] == 0:
        raise ValueError(f"image_features must be (B, E) with B at least 1. Got {shape}.")
    if tuple(text_features.shape) != shape:
        raise ValueError(
            f"text_features must have the shape of image_features, {shape}. "
            f"Got {tuple(text_features.shape)}. Give one text per image."
        )


def check_targets(targets: Tensor, rows: int) -> None:
    """Raises where `targets` is not one integer per row.

    Raises:
        ValueError: the shape or dtype, with what it must be.
    """
    if tuple(targets.shape) != (rows,):
        raise ValueError(f"targets must be (B,) = ({rows},). Got {tuple(targets.shape)}.")
    if targets.is_floating_point() or targets.is_complex():
        raise ValueError(
            f"targets must be integers (class or image ids). Got {targets.dtype}. Convert them by .long()."
        )


def check_label_smoothing(label_smoothing: float) -> None:
    """Raises where `label_smoothing` is outside [0, 1).

    Raises:
        ConfigError: the value and the range.
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ConfigError(f"label_smoothing must be in [0, 1). Got {label_smoothing}. The paper uses 0.02.")


def check_margin(margin: float) -> None:
    """Raises where `margin` is not a finite number of at least 0.

    Raises:
        ConfigError: the value and the range.
    """
    if not (margin >= 0.0 and math.isfinite(margin)):
        raise ConfigError(f"margin must be a finite number >= 0. Got {margin}. The paper uses 0.05.")


def full_precision(features: Tensor) -> AbstractContextManager[object]:
    """A block where autocast does not turn matrix products back into half precision."""
    return torch.autocast(features.device.type, enabled=False)


def widen(tensor: Tensor) -> Tensor:
    """`tensor` in float32, or unchanged where it is wider already."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def wide_dtype(image_features: Tensor, text_features: Tensor) -> torch.dtype:
    """What both features are computed in: float32, or float64 where one of them is."""
    return torch.promote_types(torch.promote_types(image_features.dtype, text_features.dtype), torch.float32)


def scaled_cosines(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """logit_scale * image_features @ text_features.T, in float32 or wider; call inside `full_precision`.

    Args:
        image_features: unit norm, (B, E).
        text_features: unit norm, (K, E).
        logit_scale: scalar, already exponentiated.

    Returns:
        (B, K).
    """
    dtype = wide_dtype(image_features, text_features)
    cosines = image_features.to(dtype) @ text_features.to(dtype).T
    return cosines * (widen(logit_scale) if isinstance(logit_scale, Tensor) else logit_scale)


def linear_logits(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """features @ weight.T + bias, in float32 or wider, also under autocast.

    Args:
        features: (B, E).
        weight: (C, E).
        bias: (C,).

    Returns:
        (B, C).
    """
    dtype = wide_dtype(features, weight)
    with full_precision(features):
        return features.to(dtype) @ weight.to(dtype).T + bias.to(dtype)


def same_target(targets: Tensor) -> Tensor:
    """Whether two rows are positives of each other: (B,) int -> (B, B) bool."""
    return targets[:, None] == targets[None, :]


def number_classes(targets: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A number in [0, G) for each row's class, and the size of that class, (G,) each, in `dtype`.

    Not by `torch.unique`: the shape of its result depends on the data, for which a GPU would have to be waited.
    As floats, classes compare straight into a buffer of the logits; they are exact below 2^24.
    """
    ordered = targets.sort().values
    first = torch.searchsorted(ordered, targets)
    return first.to(dtype), (torch.searchsorted(ordered, targets, right=True) - first).to(dtype)


def class_dots(queries: Tensor, keys: Tensor, classes: Tensor) -> Tensor:
    """queries_i . (the sum of the keys of i's class), (G,)."""
    index = classes.long()
    sums = torch.zeros_like(keys).index_add_(0, index, keys)
    dots: Tensor = torch.linalg.vecdot(queries, sums[index])
    return dots


def target_weights(class_sizes: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """The two values that a row of the smoothed target distribution takes.

    For row i with |P(i)| = n_i positives among B columns: (1 - eps) / n_i on each positive and
    eps / (B - n_i) on each negative. A row without a negative has 1 / B and no eps term, so it sums to 1 too.

    Args:
        class_sizes: n_i, (B,), float; how many rows of the batch share row i's target, itself included.
        label_smoothing: eps.

    Returns:
        The weight of a positive, (B,), and the weight of a negative, (B,).
    """
    batch = class_sizes.shape[0]
    has_negative = class_sizes < batch
    smoothing = label_smoothing * has_negative.to(class_sizes.dtype)  # 0 where there is nothing to smooth to
    return (1 - smoothing) / class_sizes, smoothing / (batch - class_sizes).clamp(min=1)
