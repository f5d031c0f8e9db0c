"""Cross-entropy over a linear head: the objective of plain fine-tuning and of WiSE-FT.

Source: Wortsman et al., CVPR 2022 (arXiv 2109.01903): the class embeddings of the text tower, multiplied by the
logit scale, are the weights of a linear classifier with a bias, kept fixed or trained.
"""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from radapter.losses.batch import check_images, check_settings, linear_logits
from radapter.losses.loss import Loss, Parts


def head_cross_entropy(
    image_features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    """Compute the cross-entropy of image_features @ weight.T + bias.

        loss = -mean_i sum_c T_ic (log_softmax (weight x_i + bias))_c
        T_ic = (1 - eps) [c = target_i] + eps / C

    The smoothing is the usual one of classification (spread over all C classes, the true one included); `mpm_nce`
    spreads it over the negatives.

    Args:
        image_features: Unit norm, (B, E), float; computed in float32 or wider, also under autocast.
        weight: (C, E), float; class embeddings times the logit scale, possibly trained.
        bias: (C,), float; zeros for a zero-shot head.
        targets: (B,), int in [0, C).
        label_smoothing: eps in [0, 1).

    Returns:
        Scalar, nats, mean over B, float32 or wider.

    Raises:
        ValueError: Shapes do not fit each other, or targets is not (B,) of integers.
        ConfigError: label_smoothing is out of range.
    """
    check_images(image_features, targets)
    if weight.ndim != 2 or weight.shape[1] != image_features.shape[1]:
        raise ValueError(
            f"weight must be (C, E) with E = {image_features.shape[1]} of image_features. "
            f"Got {tuple(weight.shape)}. Make the head with the text tower of the same model."
        )
    if tuple(bias.shape) != (len(weight),):
        raise ValueError(f"bias must be (C,) = ({len(weight)},) of weight. Got {tuple(bias.shape)}.")
    logits = linear_logits(image_features, weight, bias)  # (B, C), float32 or wider
    return logits_cross_entropy(logits, targets, label_smoothing=label_smoothing)


def _of_batch(
    images: Tensor, head: Any, targets: Tensor, scale: Tensor, parts: Parts | None = None, **settings: float
) -> Tensor:
    """`head` gives logits of image features, with the scale included."""
    if parts is not None:
        images, targets = parts.joined(images), parts.joined(targets)
    return logits_cross_entropy(head(images), targets, **settings)


def logits_cross_entropy(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """The cross-entropy of logits (B, C), float32 or wider; see `head_cross_entropy`."""
    check_images(logits, targets)
    check_settings(label_smoothing)
    return F.cross_entropy(logits, targets.long(), label_smoothing=label_smoothing)


LOSS = Loss("cross-entropy", _of_batch, {"label_smoothing": 0.0}, reads_head=True)
