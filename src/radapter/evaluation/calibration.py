"""Temperature scaling: one positive number that makes the probabilities of a classifier fit its accuracy.

    p = softmax(logits / T),  T = argmin -1/N sum_i log softmax(logits_i / T)[label_i]

Source: Guo et al., ICML 2017 (arXiv 1706.04599), section 4.2. No prediction changes, because T > 0.
"""

import bisect
import math
from collections.abc import Mapping

from torch import Tensor

from radapter.evaluation.cosines import in_tiles
from radapter.evaluation.metrics import is_right, restricted

TEMPERATURE = "temperature"
"""The key of the temperature among the metrics of ID validation."""
LOWEST, HIGHEST = 0.01, 100.0
"""The range of the temperature."""

_STEPS, _PRECISION = 60, 1e-9
_ROWS = 8192  # of logits that are float64 at a time


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """Minimises the negative log-likelihood over T in [`LOWEST`, `HIGHEST`], in float64.

    The likelihood is concave in 1 / T, so its derivative has one root. Newton's steps find it, and bisection where a
    step leaves the interval. If every label is the largest logit, a lower T is always better and none is the best:
    T is 1 then.

    Args:
        logits: (N, C), float, already multiplied by the logit scale.
        labels: (N,), int in [0, C).

    Raises ValueError as `restricted`.
    """
    logits, labels = restricted(logits, labels, None)
    if bool(is_right(logits, labels).all()):
        return 1.0
    low, high = 1 / HIGHEST, 1 / LOWEST  # of 1 / T
    scale = 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(logits, labels, scale)
        low, high = (low, scale) if slope > 0 else (scale, high)
        step = scale - slope / curvature if curvature > 0 else math.inf
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - scale) <= _PRECISION * scale:
            break
        scale = following
    return 1 / scale


def temperature_at(known: Mapping[float, float], alpha: float) -> float | None:
    """The temperature at an alpha, given those at others: log T is linear between neighbours, constant outside.

    None if none is known.
    """
    if not known:
        return None
    alphas = sorted(known)
    above = bisect.bisect_left(alphas, alpha)
    low, high = alphas[max(above - 1, 0)], alphas[min(above, len(alphas) - 1)]
    if alpha in known or low == high or alpha < low:
        return known[alpha if alpha in known else high if alpha > low else low]
    share = (alpha - low) / (high - low)
    return math.exp((1 - share) * math.log(known[low]) + share * math.log(known[high]))


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature) over the last dimension, float64."""
    return (logits.double() / temperature).softmax(-1)


def _derivatives(logits: Tensor, labels: Tensor, scale: float) -> tuple[float, float]:
    """The first and the second derivative of the negative log-likelihood in 1 / T, at 1 / T = `scale`."""
    slope = curvature = 0.0
    for rows, of_rows in zip(in_tiles(logits, _ROWS), in_tiles(labels, _ROWS), strict=True):
        wide = rows.double()
        shares = (wide * scale).softmax(1)
        mean = (shares * wide).sum(1)
        slope += float((mean - wide.gather(1, of_rows[:, None])[:, 0]).sum())
        curvature += float((shares * (wide - mean[:, None]).square()).sum())
    return slope / len(labels), curvature / len(labels)
