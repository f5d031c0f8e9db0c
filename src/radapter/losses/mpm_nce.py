"""Multi-positive margin NCE over one batch: the paper's loss, with the whole B x B matrix in memory.

Training uses this form for small batches, and `mpm_nce_tiled`, the same value in tiles, for large or shared ones.

Source: Kim et al., ECCV 2024 (arXiv 2408.05749). Symbols: delta is `margin`, eps is `label_smoothing`,
tau is 1 / `logit_scale`, y_ij is `positive`, y~_ij is `weights`, P(i) are the rows that share i's target.
"""

import torch
from torch import Tensor

from radapter.losses.batch import (
    check_pairs,
    check_settings,
    full_precision,
    scaled_cosines,
    target_weights,
    widen,
)
from radapter.losses.loss import Loss, Parts, own_targets
from radapter.losses.tiled import mpm_nce_tiled

TILED_FROM = 2048  # rows of a batch; benchmarks/loss: below it the dense form is as fast


def mpm_nce(
    image_features: Tensor,
    text_features: Tensor,
    targets: Tensor,
    logit_scale: Tensor | float,
    *,
    margin: float = 0.05,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Multi-positive margin NCE over one batch.

    Two differences from the released code: log_softmax instead of log(exp / sum), and a row without a negative is
    defined (target 1 / B, no eps term); see docs/faithfulness.md.

        Z_ij = logit_scale * (x_i . y_j + delta [target_i != target_j])
        T_ij = (1 - eps) / |P(i)| for positives, eps / (B - |P(i)|) for negatives
        loss = -1/2 mean_i sum_j T_ij (log_softmax_j Z_i. )_j - 1/2 mean_j sum_i T_ji (log_softmax_i Z_.j )_i

    With unique targets, margin 0 and smoothing 0 it is CLIP's loss.

    Args:
        image_features: Unit norm, (B, E), float; computed in float32 or wider, also under autocast.
        text_features: Unit norm, (B, E), float.
        targets: (B,), int; equal values are positives of each other.
        logit_scale: Scalar > 0, already exponentiated (CLIP: about 100).
        margin: delta >= 0, added to the cosine of negatives; 0 gives plain multi-positive NCE.
        label_smoothing: eps in [0, 1), the target's mass on negatives.

    Returns:
        Scalar, nats, mean over 2B queries, float32 or wider.

    Raises:
        ValueError: Shapes differ, or targets is not (B,) of integers.
        ConfigError: margin or label_smoothing is out of range.
    """
    check_pairs(image_features, text_features, targets)
    check_settings(label_smoothing, margin)
    with full_precision(image_features):
        positive = targets[:, None] == targets  # (B, B)
        logits = scaled_cosines(image_features, text_features, logit_scale)  # (B, B), rows are images
        scale = widen(logit_scale) if isinstance(logit_scale, Tensor) else logit_scale
        logits = logits + scale * margin * (~positive).to(logits.dtype)

        on_positive, on_negative = target_weights(positive.sum(1).to(logits.dtype), label_smoothing)
        weights = torch.where(positive, on_positive[:, None], on_negative[:, None])  # (B, B), rows sum to 1
        # positive is symmetric, so the texts' logits and targets are the transposes of the images'.
        image_to_text = (weights * logits.log_softmax(dim=1)).sum(1).mean()
        text_to_image = (weights.T * logits.log_softmax(dim=0)).sum(0).mean()
        return -(image_to_text + text_to_image) / 2


def _of_batch(
    images: Tensor,
    texts: Tensor,
    targets: Tensor,
    scale: Tensor,
    parts: Parts | None = None,
    **options: float,
) -> Tensor:
    if parts is None and len(images) < TILED_FROM:
        return mpm_nce(images, texts, targets, scale, **options)
    return mpm_nce_tiled(images, texts, targets, scale, parts=parts, **options)  # type: ignore[arg-type]


def _single_positive(
    images: Tensor,
    texts: Tensor,
    targets: Tensor,
    scale: Tensor,
    parts: Parts | None = None,
    **options: float,
) -> Tensor:
    return _of_batch(images, texts, own_targets(targets, parts), scale, parts, **options)


LOSS = Loss("mpm-nce", _of_batch, {"margin": 0.05, "label_smoothing": 0.02})
SINGLE_POSITIVE = Loss("single-positive", _single_positive, LOSS.settings)
"""MPM-NCE in which a sample's own caption is its only positive, for the paper's ablation."""
