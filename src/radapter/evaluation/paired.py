"""Two models on the same images: how certain their difference is, and the smallest value as good as the best.

Most images are right under both models or wrong under both, so a difference is known far more precisely than either
score. With p the pseudo-values of `jackknife`,

    error(a, b) = sqrt(var(p_a - p_b) / n), with n - 1 in the variance

For accuracies, with b images that only the first model gets right and c that only the second does, this is

    sqrt((b + c - (b - c)^2 / n) / (n (n - 1)))

the discordant pairs of McNemar's test.

Source: Tukey, Annals of Mathematical Statistics 1958; McNemar, Psychometrika 1947.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from radapter.evaluation.jackknife import standard_error

_ROUNDING = 1e-6
"""Absolute tolerance: pseudo-values are float32, and one discordant pair is a difference of exactly one error."""


class Choice(NamedTuple):
    """The chosen value, and how it compares with the best one.

    Attributes:
        value: The chosen value.
        score: Its score, a fraction.
        best: The value of the highest score; the smallest of equals.
        best_score: Its score.
        error: The paired standard error of best_score - score.
    """

    value: float
    score: float
    best: float
    best_score: float
    error: float


def paired_standard_error(first: Tensor, second: Tensor) -> float:
    """The standard error of the difference of two scores on the same images.

    Args:
        first: Pseudo-values of one model, (N,).
        second: Pseudo-values of the other, (N,), in the same order of images.

    Returns:
        In the scores' unit; 0 for one image.

    Raises:
        ValueError: The shapes differ.
    """
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        shapes = tuple(first.shape), tuple(second.shape)
        raise ValueError(f"pseudo-values must both be (N,), N at least 1, got {shapes}. Use the same images.")
    return standard_error(first.double() - second.double())


def smallest_within_paired_error(
    values: Sequence[float], scores: Sequence[float], pseudo_values: Sequence[Tensor]
) -> Choice:
    """The smallest value whose score is at most one paired standard error below the best.

        min {v : score(best) - score(v) <= error(best, v)}

    Taking the best score itself would choose alpha near 1 and lose robustness that the set cannot see.

    Args:
        values: K alphas or learning rates.
        scores: K scores on ID validation.
        pseudo_values: K times (N,), in the same order of images.

    Raises:
        ValueError: The lengths differ or are 0.
    """
    if not values or not len(values) == len(scores) == len(pseudo_values):
        raise ValueError(
            "values, scores and pseudo_values must have one length of at least 1, got "
            f"{len(values)}, {len(scores)} and {len(pseudo_values)}."
        )
    ascending = sorted(zip(values, scores, pseudo_values, strict=True), key=lambda each: each[0])
    best, best_score, of_best = max(ascending, key=lambda each: each[1])
    for value, score, of_value in ascending:
        error = paired_standard_error(of_best, of_value)
        if best_score - score <= error + _ROUNDING:
            return Choice(value, score, best, best_score, error)
    raise AssertionError("the best value is within its own error")
