"""What all losses over a batch of features share: checks, positives, and arithmetic in float32 or wider.

A cosine times a logit scale of 100 has steps of 0.5 in bfloat16, more than most differences that matter to a loss.
So every loss leaves autocast and computes in float32, or in float64 if the features are.
"""

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from radapter.errors import ConfigError


def check_pairs(image_features: Tensor, text_features: Tensor, targets: Tensor | None = None) -> None:
    """Raises ValueError unless the features have one shape (B, E), B at least 1, and targets are (B,) integers."""
    check_images(image_features, targets)
    if text_features.shape != image_features.shape:
        shapes = f"{tuple(image_features.shape)}. Got {tuple(text_features.shape)}"
        raise ValueError(f"text_features must have the shape of image_features, {shapes}.")


def check_images(image_features: Tensor, targets: Tensor | None) -> None:
    """Raises ValueError unless the features are (B, E), B at least 1, and targets are (B,) integers."""
    shape = tuple(image_features.shape)
    if len(shape) != 2 or shape[0] == 0:
        raise ValueError(f"image_features must be (B, E) with B at least 1. Got {shape}.")
    if targets is None:
        return
    if tuple(targets.shape) != shape[:1]:
        raise ValueError(f"targets must be (B,) = ({shape[0]},). Got {tuple(targets.shape)}.")
    if targets.is_floating_point() or targets.is_complex():
        raise ValueError(f"targets must be integers. Got {targets.dtype}. Convert them by .long().")


def check_settings(label_smoothing: float, margin: float = 0.0) -> None:
    """Raises ConfigError unless `label_smoothing` is in [0, 1), and `margin` finite and at least 0."""
    if not 0.0 <= label_smoothing < 1.0:
        raise ConfigError(f"label_smoothing must be in [0, 1). Got {label_smoothing}. The paper uses 0.02.")
    if not (margin >= 0.0 and math.isfinite(margin)):
        raise ConfigError(f"margin must be a finite number >= 0. Got {margin}. The paper uses 0.05.")


def full_precision(features: Tensor) -> AbstractContextManager[object]:
    """A block without autocast, which would compute matrix products in half precision."""
    return torch.autocast(features.device.type, enabled=False)


def widen(tensor: Tensor) -> Tensor:
    """`tensor` in float32, or unchanged if it is wider."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def wide_dtype(image_features: Tensor, text_features: Tensor) -> torch.dtype:
    """The dtype to compute in: float32, or float64 if one of the features is."""
    return torch.promote_types(torch.promote_types(image_features.dtype, text_features.dtype), torch.float32)


def scaled_cosines(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """logit_scale * image_features @ text_features.T, (B, K), in float32 or wider; call inside `full_precision`."""
    dtype = wide_dtype(image_features, text_features)
    cosines = image_features.to(dtype) @ text_features.to(dtype).T
    return cosines * (widen(logit_scale) if isinstance(logit_scale, Tensor) else logit_scale)


def linear_logits(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """features (B, E) @ weight.T (C, E) + bias (C,), in float32 or wider, also under autocast: (B, C)."""
    dtype = wide_dtype(features, weight)
    with full_precision(features):
        return features.to(dtype) @ weight.to(dtype).T + bias.to(dtype)


def number_classes(targets: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A number in [0, G) for each row's class, and the size of that class, (G,) each, in `dtype`.

    `torch.unique` would wait for a GPU. As floats, classes compare into a buffer of the logits; exact below 2^24.
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
    """The weights of a positive and of a negative, (B,) each, in a row of the smoothed target distribution.

    With n_i = `class_sizes`, (B,), the rows that share row i's target, (1 - eps) / n_i and eps / (B - n_i). A row
    without a negative has 1 / B and no eps term, so it sums to 1 too.
    """
    batch = class_sizes.shape[0]
    has_negative = class_sizes < batch
    smoothing = label_smoothing * has_negative.to(class_sizes.dtype)  # 0 without negatives
    return (1 - smoothing) / class_sizes, smoothing / (batch - class_sizes).clamp(min=1)
