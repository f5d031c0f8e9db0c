"""Classification metrics as pure functions of a matrix of logits: no model, no device, no loader.

All are fractions, except `nll` in nats and `brier` in [0, 2]. Ties go to the lower class index, as in `argmax`.
torchmetrics gives the same values (the tests compare them) with two exceptions: its calibration error puts a
confidence of exactly 1, which saturated logits often have, into a 16th bin, and its macro accuracy counts a class
that is predicted but absent from the labels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.errors import DivergedError

Metrics = dict[str, float]
"""Metric name -> value; `n`, the number of samples, is an int."""

CALIBRATION_BINS = 15


def classification_metrics(
    logits: Tensor,
    labels: Tensor,
    *,
    classes: Tensor | None = None,
    groups: Tensor | None = None,
    zero_shot: Tensor | None = None,
) -> Metrics:
    """Computes every metric of a classified set: top1, top5, mean_per_class (top1 of each class that occurs,
    averaged), macro_f1, ece, nll, brier and n; with groups, worst_group; with zero_shot, agreement.

    Args:
        logits: (N, C), float, already multiplied by the logit scale, on which calibration depends.
        labels: (N,), int in [0, C).
        classes: The columns that the set can hold; see `restricted`.
        groups: (N,), int, the group of each sample (Sagawa et al., ICLR 2020), or None.
        zero_shot: (N,), int, the zero-shot model's predictions, from `predicted` with the same classes, or None.

    Raises ValueError if shapes do not fit, logits are not finite, or a label is outside the classes.
    """
    logits, labels = restricted(logits, labels, classes)
    ranks = _ranks(logits, labels)
    hits, optional = ranks < 1, dict[str, float]()
    size = torch.bincount(labels, minlength=logits.shape[1])
    right = torch.bincount(labels[hits], minlength=logits.shape[1])
    if groups is not None:
        if groups.shape != hits.shape:
            raise ValueError(f"groups must be (N,) = ({len(hits)},). Got {tuple(groups.shape)}.")
        optional["worst_group"] = min(_share(hits[groups == group]) for group in set(groups.tolist()))
    if zero_shot is not None:
        optional["agreement"] = _share(logits.argmax(1) == zero_shot.to(logits.device))
    return {
        "top1": _share(hits),
        "top5": _share(ranks < min(5, logits.shape[1])),
        "mean_per_class": float((right.double() / size)[size > 0].mean()),
        "macro_f1": macro_f1(logits, labels),
        "ece": expected_calibration_error(logits, labels),
        "nll": negative_log_likelihood(logits, labels),
        "brier": brier_score(logits, labels),
        **optional,
        "n": len(labels),
    }


def is_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each sample has its largest logit at its label, (N,), bool; arguments as `restricted` returns them."""
    return _ranks(logits, labels) < 1


def macro_f1(logits: Tensor, labels: Tensor) -> float:
    """F1_c = 2 hits_c / (labelled_c + predicted_c), averaged over the classes that occur in `labels`, in [0, 1].

    A class that is predicted but absent from the labels is left out, as in mean_per_class.
    """
    logits, labels = restricted(logits, labels, None)
    predicted = logits.argmax(1)
    labelled, guessed, right = (
        torch.bincount(chosen, minlength=logits.shape[1]).double()
        for chosen in (labels, predicted, labels[predicted == labels])
    )
    return float((2 * right / (labelled + guessed))[labelled > 0].mean())


def expected_calibration_error(logits: Tensor, labels: Tensor, *, bins: int = CALIBRATION_BINS) -> float:
    """Distance of confidence and accuracy, averaged over equal-width bins of confidence, in [0, 1].

        ECE = sum_b (n_b / N) |accuracy_b - confidence_b|,  bin b = [b / bins, (b + 1) / bins), the last closed

    Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017.
    """
    logits, labels = restricted(logits, labels, None)
    confidence, predicted = logits.double().softmax(1).max(1)
    gap = (predicted == labels).double() - confidence  # summed by bin: n_b (accuracy_b - confidence_b)
    inner_edges = torch.arange(1, bins, dtype=torch.float64, device=logits.device) / bins
    of_bin = torch.bucketize(confidence, inner_edges, right=True)
    gaps = torch.zeros(bins, dtype=torch.float64, device=logits.device).index_add_(0, of_bin, gap)
    return float(gaps.abs().sum() / len(labels))


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    """Mean of -log softmax at the label, in nats."""
    logits, labels = restricted(logits, labels, None)
    return float(F.cross_entropy(logits.double(), labels))


def brier_score(logits: Tensor, labels: Tensor) -> float:
    """1/N sum_i sum_c (p_ic - [c = label_i])^2, in [0, 2], after Brier, Monthly Weather Review 1950."""
    logits, labels = restricted(logits, labels, None)
    errors = logits.double().softmax(1) - F.one_hot(labels, logits.shape[1])
    return float(errors.square().sum(1).mean())


def predicted(logits: Tensor, classes: Tensor | None = None) -> Tensor:
    """The class with the largest logit, (N, C) -> (N,), among the columns `classes` and numbered within them."""
    return (logits if classes is None else _columns(logits, classes)).argmax(1)


def harmonic_mean(base: float, novel: float) -> float:
    """H = 2 b n / (b + n) of two accuracies, fractions; 0 if both are 0."""
    return 2 * base * novel / (base + novel) if base + novel else 0.0


def restricted(logits: Tensor, labels: Tensor, classes: Tensor | None) -> tuple[Tensor, Tensor]:
    """Restricts logits (N, C) to the columns `classes`, renumbers the labels (N,) within them and checks both.

    `classes` is (K,), int, distinct (ImageNet-R has 200 of ImageNet's 1,000); None keeps all columns. It is (K, M)
    if a class has up to M columns: the largest of their logits is the class's, as WiSE-FT scores ObjectNet. A row
    may repeat a column to fill up. Returns (N, K), float32 or wider, and (N,), int64. Errors are those of
    `classification_metrics`.
    """
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits must be (N, C) with N and C at least 1. Got {tuple(logits.shape)}.")
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels must be (N,) = ({len(logits)},). Got {tuple(labels.shape)}.")
    logits, labels = logits.detach(), labels.long()
    if classes is not None:
        column = torch.full((logits.shape[1],), -1, dtype=torch.int64, device=labels.device)
        places = torch.arange(len(classes), device=labels.device)
        column[classes.to(labels.device)] = places if classes.ndim == 1 else places[:, None]
        logits = _columns(logits, classes)
        known = (labels >= 0) & (labels < len(column))
        labels = torch.where(known, column[labels.clamp(0, len(column) - 1)], -1)
    outside = (labels < 0) | (labels >= logits.shape[1])
    if outside.any():
        raise ValueError(
            f"every label must be one of the {logits.shape[1]} classes. {int(outside.sum())} are not, the first in "
            f"row {int(outside.nonzero()[0])}. Map the labels, or give classes that hold them."
        )
    check_finite(logits)
    return logits.to(torch.promote_types(logits.dtype, torch.float32)), labels


def check_finite(logits: Tensor) -> None:
    """Raises DivergedError if logits (N, C) are not finite."""
    if not logits.isfinite().all():
        bad = int((~logits.isfinite()).any(1).sum())
        raise DivergedError(
            f"logits must be finite. {bad} of {len(logits)} rows are not. Check the model's weights."
        )


def _columns(logits: Tensor, classes: Tensor) -> Tensor:
    logits = logits[:, classes.to(logits.device)]
    return logits if classes.ndim == 1 else logits.amax(2)


def _ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes rank before the label in each row, (N,); 0 is a hit."""
    own = logits.gather(1, labels[:, None])  # (N, 1)
    before = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & before)).sum(1)


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
