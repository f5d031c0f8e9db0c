"""Cross-entropy over a zero-shot head: the objective of plain fine-tuning and of WiSE-FT.

Source: Wortsman et al., CVPR 2022 (arXiv 2109.01903): the class embeddings of the text tower are the weights
of a linear classifier, kept fixed or trained on.
"""

from torch import Tensor
from torch.nn import functional as F

from radapter.losses.batch import check_label_smoothing, check_targets, full_precision, scaled_cosines


def head_cross_entropy(
    image_features: Tensor,
    head: Tensor,
    targets: Tensor,
    logit_scale: Tensor | float,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logit_scale * image_features @ head.T.

        loss = -mean_i sum_c T_ic (log_softmax logit_scale * x_i . h)_c
        T_ic = (1 - eps) [c = target_i] + eps / C

    The smoothing is the usual one of classification (spread over all C classes, the true one included), which
    is not `mpm_nce`'s (spread over the negatives).

    Args:
        image_features: unit norm, (B, E), float; computed in float32 or wider, also under autocast.
        head: (C, E), float; unit-norm class embeddings, or what training made of them.
        targets: (B,), int in [0, C).
        logit_scale: scalar > 0, already exponentiated (CLIP: about 100).
        label_smoothing: eps in [0, 1).

    Returns:
        Scalar, nats, mean over B, float32 or wider.

    Raises:
        ValueError: shapes do not fit each other, or targets is not (B,) of integers.
        ConfigError: label_smoothing is out of range.
    """
    if image_features.ndim != 2 or len(image_features) == 0:
        shape = tuple(image_features.shape)
        raise ValueError(f"image_features must be (B, E) with B at least 1. Got {shape}.")
    if head.ndim != 2 or head.shape[1] != image_features.shape[1]:
        raise ValueError(
            f"head must be (C, E) with E = {image_features.shape[1]} of image_features. "
            f"Got {tuple(head.shape)}. Make the head with the text tower of the same model."
        )
    check_targets(targets, len(image_features))
    check_label_smoothing(label_smoothing)
    with full_precision(image_features):
        logits = scaled_cosines(image_features, head, logit_scale)  # (B, C)
        return F.cross_entropy(logits, targets.long(), label_smoothing=label_smoothing)
