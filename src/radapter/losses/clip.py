"""CLIP's symmetric InfoNCE: each image's only positive is its own text.

Source: Radford et al., ICML 2021 (arXiv 2103.00020); the objective of FLYP's contrastive fine-tuning (Goyal
et al., CVPR 2023). Two samples of one class are negatives of each other here; `mpm_nce` makes them positives.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.losses.batch import check_pairs, full_precision, scaled_cosines
from radapter.losses.loss import Loss, Parts, own_targets
from radapter.losses.tiled import mpm_nce_tiled


def clip_loss(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE over one batch.

        loss = -1/2 mean_i (log_softmax_j logit_scale * x_i . y_j)_i + the text-to-image term

    Args:
        image_features: Unit norm, (B, E), float; computed in float32 or wider, also under autocast.
        text_features: Unit norm, (B, E), float.
        logit_scale: Scalar > 0, already exponentiated (CLIP: about 100).

    Returns:
        Scalar, nats, mean over 2B queries, float32 or wider. Raises ValueError if shapes differ.
    """
    check_pairs(image_features, text_features)
    with full_precision(image_features):
        logits = scaled_cosines(image_features, text_features, logit_scale)  # (B, B)
        own = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def _of_batch(
    images: Tensor, texts: Tensor, targets: Tensor, scale: Tensor, parts: Parts | None = None
) -> Tensor:
    # CLIP's loss ignores classes: another image of the same class is a negative, as in FLYP's experiments.
    if parts is None:
        return clip_loss(images, texts, scale)
    return mpm_nce_tiled(images, texts, own_targets(targets, parts), scale, margin=0.0, parts=parts)


LOSS = Loss("clip", _of_batch)
