"""Segmentation metrics from one confusion matrix over a whole set, as pure functions.

    IoU_c = n_cc / (sum_j n_cj + sum_i n_ic - n_cc),   n_ij pixels of class i that are predicted as class j

`confusion.py` counts them. Classes are summed over all images before anything is divided: the mean of images' mIoU
is another figure.

Two conventions, which differ in the classes that `mean_iou` averages over:
    detectron2  those present in the truth. A class that is predicted somewhere but absent costs only the classes
                whose pixels it took. Source: facebookresearch/detectron2, evaluation/sem_seg_evaluation.py
                (iou_valid = acc_valid and union > 0).
    ovseg       those present in the truth or in the prediction, so that an absent class that is predicted counts
                as 0. Source: `GeneralizedSemSegEvaluator`, the evaluator of SimBaseline (zsseg), OVSeg and works
                after them (the sum of iou[acc_valid] over the number of iou_valid, pos_gt + pos_pred > 0).
They are equal where no absent class is predicted; with many names and few images ovseg is the lower. A class absent
from both, truth and prediction, is in neither. Figures of one convention do not compare with the other's.

A pixel that is given no class is wrong: it stays in its true class's union. detectron2 would drop it from the truth,
so that abstaining raises the figure.
"""

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor

from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.evaluation.metrics import Metrics, harmonic_mean

Convention = Literal["detectron2", "ovseg"]
CONVENTIONS: tuple[Convention, ...] = ("detectron2", "ovseg")


def class_iou(confusion: Tensor, *, convention: Convention = "detectron2") -> Tensor:
    """Intersection over union of each class.

    Args:
        confusion: (C, C), int, rows the truth; or (C, C + 1), whose last column counts pixels given no class.
        convention: which classes count; see this file's docstring.

    Returns:
        (C,), float64, in [0, 1]; NaN where a class does not count.

    Raises:
        ValueError: the matrix has another shape or negative counts, or the convention is unknown.
        DataError: no pixel is counted.
    """
    hits, truth, predicted = _marginals(confusion)
    return iou_of(hits, truth, predicted, convention=convention)


def mean_iou(confusion: Tensor, *, convention: Convention = "detectron2") -> float:
    """mIoU: the mean of `class_iou` over the classes that count; arguments and errors are the same.

    Returns:
        In [0, 1]. With one class and no abstaining it is 1, whatever was predicted: there was no choice.
    """
    return float(class_iou(confusion, convention=convention).nanmean())


def frequency_weighted_iou(confusion: Tensor) -> float:
    """IoU of each class present in the truth, weighted by its share of the counted pixels; the same in either
    convention, as an absent class has no weight.

    Source: Long et al., CVPR 2015, "frequency weighted IU".
    """
    _, truth, _ = _marginals(confusion)
    return float((class_iou(confusion).nan_to_num() * truth / truth.sum()).sum())


def class_accuracy(confusion: Tensor) -> Tensor:
    """Share of each class's pixels that are predicted as it, (C,), float64; NaN where it has none."""
    hits, truth, _ = _marginals(confusion)
    return torch.where(truth > 0, hits.double() / truth, torch.nan)


def mean_accuracy(confusion: Tensor) -> float:
    """The mean of `class_accuracy` over the classes present in the truth, in [0, 1]."""
    return float(class_accuracy(confusion).nanmean())


def pixel_accuracy(confusion: Tensor) -> float:
    """Share of the counted pixels that are predicted rightly, in [0, 1]."""
    hits, truth, _ = _marginals(confusion)
    return float(hits.sum().double() / truth.sum())


def seen_unseen_iou(
    confusion: Tensor, seen: Collection[int], *, convention: Convention = "detectron2"
) -> Metrics:
    """mIoU of the classes that training saw, of the others, and the harmonic mean of the two.

    One matrix serves both: a pixel of an unseen class that is predicted as a seen one costs both.

    Source: Xian et al., CVPR 2019 (SPNet), generalised zero-shot segmentation.

    Args:
        confusion: as for `class_iou`.
        seen: indices of the seen classes; the others are unseen.
        convention: as for `class_iou`.

    Returns:
        miou_seen, miou_unseen, miou_harmonic; 0 where both are 0.

    Raises:
        ValueError: an index is no class; and as `class_iou`.
        DataError: of the seen, or of the unseen classes, none counts.
    """
    iou = class_iou(confusion, convention=convention)
    outside = [index for index in seen if not 0 <= index < len(iou)]
    if outside:
        raise ValueError(f"seen classes must lie in [0, {len(iou) - 1}]. Got {outside[0]}.")
    is_seen = torch.zeros(len(iou), dtype=torch.bool)
    is_seen[list(seen)] = True
    found = {}
    for name, chosen in (("seen", is_seen), ("unseen", ~is_seen)):
        if iou[chosen].isnan().all():
            raise DataError(
                f"a set must show {name} classes for their mIoU. None of the {int(chosen.sum())} counts in it. "
                "Evaluate on a set that has both, or take mean_iou."
            )
        found[f"miou_{name}"] = float(iou[chosen].nanmean())
    return {**found, "miou_harmonic": harmonic_mean(found["miou_seen"], found["miou_unseen"])}


def segmentation_metrics(confusion: Tensor) -> Metrics:
    """Every figure of a segmented set that one confusion matrix gives.

    Args:
        confusion: as for `class_iou`.

    Returns:
        miou (detectron2), miou_ovseg, fwiou, mean_accuracy, pixel_accuracy, pixel_error, unlabelled (the share of
        counted pixels that were given no class) as floats; classes (present in the truth) and pixels (counted) as
        int.

    Raises:
        ValueError, DataError: as `class_iou`.
    """
    _, truth, _ = _marginals(confusion)
    total = int(truth.sum())
    accuracy = pixel_accuracy(confusion)
    abstained = int(truth.sum() - confusion[:, : len(confusion)].sum())
    return {
        "miou": mean_iou(confusion, convention="detectron2"),
        "miou_ovseg": mean_iou(confusion, convention="ovseg"),
        "fwiou": frequency_weighted_iou(confusion),
        "mean_accuracy": mean_accuracy(confusion),
        "pixel_accuracy": accuracy,
        "pixel_error": 1 - accuracy,
        "unlabelled": abstained / total,
        "classes": int((truth > 0).sum()),
        "pixels": total,
    }


def iou_of(hits: Tensor, truth: Tensor, predicted: Tensor, *, convention: Convention) -> Tensor:
    """Intersection over union from the sizes of intersection, truth and prediction.

    Args:
        hits: (C,), int, elements of class c predicted as c.
        truth: (C,), int, elements of class c.
        predicted: (C,), int, elements predicted as c.
        convention: which classes count.

    Returns:
        (C,), float64; NaN where a class does not count.

    Raises:
        ConfigError: the convention is unknown.
        DataError: nothing is counted.
    """
    if convention not in CONVENTIONS:
        raise ConfigError(
            f"convention must be one of {', '.join(CONVENTIONS)}. Got {convention!r}."
            f"{did_you_mean(str(convention), CONVENTIONS)}"
        )
    if not truth.sum():
        raise DataError(
            "a segmented set must have a counted pixel. Every pixel of it is ignored. Check ignore and "
            "reduce_zero_label."
        )
    union = truth + predicted - hits
    counts = truth > 0 if convention == "detectron2" else union > 0
    return torch.where(counts, hits.double() / union, torch.nan)


def _marginals(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of each class predicted as it, of each class, and predicted as each, (C,), int64 each."""
    classes = len(confusion)
    if confusion.ndim != 2 or classes < 1 or confusion.shape[1] - classes not in (0, 1):
        raise ValueError(f"confusion must be (C, C) or (C, C + 1). Got {tuple(confusion.shape)}.")
    if confusion.is_floating_point() or (confusion < 0).any():
        raise ValueError(f"confusion must hold counts, integers >= 0. Got {confusion.dtype}, some below 0.")
    counts = confusion.long().cpu()
    return counts.diagonal(), counts.sum(1), counts[:, :classes].sum(0)
