"""Jackknife pseudo-values: what each image contributes to a score, and standard errors from them.

mIoU is a ratio of sums over pixels, averaged over classes, and rsum adds six correlated recalls, so neither is a
mean over images. The jackknife leaves out one image at a time, with its pixels or its captions (or one group of
images that share a caption):

    p_i = n S - (n - 1) S_i,  S = the score of all n images, S_i = the score of all images but i
    se = sqrt(var(p) / n), with n - 1 in the variance

An accuracy is a mean over images, and its p_i is exactly 1 if image i is right, else 0. A bootstrap over images
gives the same standard error to a few per cent (a test compares them).

Two models on the same images are mostly right or wrong together, so their difference is known far more precisely
than either score: error(a, b) = sqrt(var(p_a - p_b) / n). For accuracies, with b images that only the first model
gets right and c that only the second does, this is the error of the discordant pairs of McNemar's test,
sqrt((b + c - (b - c)^2 / n) / (n (n - 1))).

Source: Tukey, "Bias and confidence in not-quite large samples", Annals of Mathematical Statistics 1958; Efron and
Stein, Annals of Statistics 1981; McNemar, Psychometrika 1947.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from radapter.evaluation.retrieval import CUTOFFS, RetrievalRanks

_ROUNDING = 1e-6  # pseudo-values are float32, and one discordant pair is a difference of exactly one error


def miou_pseudo_values(matched: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
    """The pseudo-values of mIoU (detectron2's convention) over images, (N,), float64, from the `marginals` of each
    image, (N, C). Raises ValueError if shapes differ or N is 0."""
    counts = (matched, truth, predicted)
    if matched.ndim != 2 or len(matched) == 0 or not matched.shape == truth.shape == predicted.shape:
        shapes = [tuple(each.shape) for each in counts]
        raise ValueError(f"matched, truth and predicted must all be (N, C), N at least 1. Got {shapes}.")
    totals = [each.sum(0, keepdim=True) for each in counts]
    without = [total - each for total, each in zip(totals, counts, strict=True)]
    return _pseudo_values(_miou(*totals), _miou(*without))


def rsum_pseudo_values(ranks: RetrievalRanks, unit_of_image: Tensor, unit_of_text: Tensor) -> Tensor:
    """The pseudo-values of rsum over U units, an image or a group of images with its captions: (U,), float64.

    A unit that is left out is no query; it stays as an answer to the others, so that ranks are counted once. The
    units of the N images and M texts are int in [0, U). Raises ValueError if shapes do not fit.
    """
    directions = ((ranks.image_to_text, unit_of_image), (ranks.text_to_image, unit_of_text))
    if any(found.shape != unit.shape for found, unit in directions):
        raise ValueError(
            f"unit_of_image must be (N,) = ({len(ranks.image_to_text)},) and unit_of_text (M,) = "
            f"({len(ranks.text_to_image)},). Got {tuple(unit_of_image.shape)} and {tuple(unit_of_text.shape)}."
        )
    units = 1 + max(int(unit.max()) for _, unit in directions)
    whole, left_out = torch.zeros(1, dtype=torch.float64), torch.zeros(units, dtype=torch.float64)
    for found, unit in directions:
        found, unit = found.cpu(), unit.cpu()
        passed = (found[:, None] <= torch.tensor(CUTOFFS)).sum(1)  # cutoffs, of each query
        of_unit = torch.zeros(units, dtype=torch.int64).index_add_(0, unit, passed)
        left = len(unit) - torch.bincount(unit, minlength=units)
        whole += of_unit.sum().double() / len(unit)
        left_out += (of_unit.sum() - of_unit).double() / left.clamp(min=1)
    return _pseudo_values(whole, left_out)


def standard_error(pseudo_values: Tensor) -> float:
    """The standard error of a score from its pseudo-values, (N,), whose order does not matter; 0 for one image."""
    values = pseudo_values.double().sort().values
    n = len(values)
    return math.sqrt(float((values - values.mean()).square().sum()) / max(n - 1, 1) / n)


class Choice(NamedTuple):
    """The chosen value and its score, the best value and its score, and the paired standard error between them."""

    value: float
    score: float
    best: float
    best_score: float
    error: float


def paired_standard_error(first: Tensor, second: Tensor) -> float:
    """The standard error of the difference of two scores from their pseudo-values, (N,), in the same order of
    images; 0 for one image. Raises ValueError if the shapes differ."""
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        shapes = tuple(first.shape), tuple(second.shape)
        raise ValueError(f"pseudo-values must both be (N,), N at least 1, got {shapes}. Use the same images.")
    return standard_error(first.double() - second.double())


def smallest_within_paired_error(
    values: Sequence[float], scores: Sequence[float], pseudo_values: Sequence[Tensor]
) -> Choice:
    """Chooses the smallest value whose score is at most one paired standard error below the best.

        min {v : score(best) - score(v) <= error(best, v)}

    Taking the best score itself would choose alpha near 1 and lose robustness that ID validation cannot measure. The
    K `pseudo_values` are (N,), in the same order of images. Raises ValueError if the lengths differ or are 0.
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


def _miou(matched: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
    present = truth > 0
    iou = matched.double() / (truth + predicted - matched).clamp(min=1)
    return (iou * present).sum(1) / present.sum(1).clamp(min=1)


def _pseudo_values(whole: Tensor, left_out: Tensor) -> Tensor:
    n = len(left_out)
    return n * whole - (n - 1) * left_out
