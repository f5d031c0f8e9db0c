"""The sigmoid loss of SigLIP: every image-text pair is a separate binary classification.

Source: Zhai et al., ICCV 2023 (arXiv 2303.15343), with one extension: pairs that share a target are
positives, as in `mpm_nce`, where the paper has one positive per row. With unique targets it is the paper's loss.
"""

from torch import Tensor
from torch.nn import functional as F

from radapter.losses.batch import check_pairs, full_precision, scaled_cosines, widen
from radapter.losses.loss import Loss, Parts


def siglip_loss(
    image_features: Tensor,
    text_features: Tensor,
    targets: Tensor,
    logit_scale: Tensor | float,
    logit_bias: Tensor | float | None,
) -> Tensor:
    """Pairwise sigmoid loss over one batch; arguments and errors as for `mpm_nce`.

        loss = -1/B sum_ij log_sigmoid(z_ij (logit_scale * x_i . y_j + logit_bias))
        z_ij = +1 where i and j share a target, else -1

    SigLIP's logit_scale starts at 10 and its logit_bias, a scalar, at -10; None is 0.

    Returns:
        Scalar, nats, sum over the pairs divided by B, float32 or wider.
    """
    check_pairs(image_features, text_features, targets)
    with full_precision(image_features):
        logits = scaled_cosines(image_features, text_features, logit_scale)  # (B, B)
        if logit_bias is not None:
            logits = logits + (widen(logit_bias) if isinstance(logit_bias, Tensor) else logit_bias)
        signs = (targets[:, None] == targets).to(logits.dtype) * 2 - 1
        return -F.logsigmoid(signs * logits).sum() / len(logits)


def _of_batch(
    images: Tensor, texts: Tensor, targets: Tensor, scale: Tensor, parts: Parts | None = None, **bias: Tensor
) -> Tensor:
    if parts is not None:
        images, texts, targets = parts.joined(images), parts.joined(texts), parts.joined(targets)
    return siglip_loss(images, texts, targets, scale, **bias)


LOSS = Loss("siglip", _of_batch, reads_logit_bias=True)
