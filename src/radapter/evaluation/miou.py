"""Segmentation metrics from counts over a whole set, as pure functions: IoU and Boundary IoU.

    IoU_c = n_cc / (sum_j n_cj + sum_i n_ic - n_cc),   n_ij pixels of class i that are predicted as class j

`confusion_matrix` counts the pixels of one image at the resolution of the truth. IoU is formed from the sum over
images and processes. A pixel that is given no class is wrong: it stays in its true class's union.

Two conventions, which are not comparable, differ in the classes that `mean_iou` averages over; docs/metrics.md has
their sources:
    detectron2  those present in the truth.
    ovseg       those present in the truth or in the prediction: a class that is predicted but absent counts as 0.

Boundary IoU is the IoU of the rims of masks, in which large objects weigh no more than small ones:

    Boundary IoU(G, P) = |(G_d n G) n (P_d n P)| / |(G_d n G) u (P_d n P)|

Source: Cheng et al., "Boundary IoU: Improving object-centric image segmentation evaluation", CVPR 2021, and its
code, bowenc0221/boundary-iou-api. G_d n G are the pixels of a mask within d of its outline, d = 2 % of the image's
diagonal, at least 1 pixel. Distance is the larger of the two offsets, as in d erosions by a 3 x 3 square. The edge
of the image belongs to the outline, and so does the border to ignored pixels, which are not counted themselves.
"""

import math
from collections.abc import Collection
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.data.masks.paired import IGNORE
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.evaluation.metrics import Metrics, harmonic_mean

Convention = Literal["detectron2", "ovseg"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
RATIO = 0.02
"""Width d of a rim over the image's diagonal."""


def confusion_matrix(
    prediction: Tensor, truth: Tensor, classes: int, *, ignore: int = IGNORE, pixels: Tensor | None = None
) -> Tensor:
    """Counts pixels by class and prediction; the matrices of images and processes are summed.

    Args:
        prediction: Class indices of any shape, such as (H, W), int; `ignore` means no class.
        truth: The same shape; pixels that are `ignore` are not counted.
        classes: C.
        ignore: A label outside [0, C - 1].
        pixels: The number of pixels of each element, the same shape, int64; None for one.

    Returns:
        (C, C + 1), int64, on the CPU: rows the truth, columns the prediction, the last one pixels without a class.

    Raises ValueError if C is below 1, the shapes differ, or a value is neither a class nor `ignore`.
    """
    if classes < 1:
        raise ValueError(f"classes must be at least 1. Got {classes}.")
    if 0 <= ignore < classes:
        raise ValueError(f"ignore must be no class, outside [0, {classes - 1}]. Got {ignore}.")
    prediction, truth = checked_labels(prediction, truth, classes, ignore=ignore)
    counted = truth != ignore
    columns = torch.where(prediction == ignore, classes, prediction)
    cells = (truth * (classes + 1) + columns)[counted]
    sizes = torch.ones_like(cells) if pixels is None else pixels[counted]
    total = torch.zeros(classes * (classes + 1), dtype=torch.int64, device=cells.device)
    return total.index_add_(0, cells, sizes).view(classes, classes + 1).cpu()


def checked_labels(
    prediction: Tensor, truth: Tensor, classes: int, *, ignore: int = IGNORE
) -> tuple[Tensor, Tensor]:
    """Returns prediction and truth as int64. Raises ValueError if the shapes differ, or a value is neither a class
    nor `ignore`."""
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction must have the truth's shape, {tuple(truth.shape)}. Got {tuple(prediction.shape)}. Resize "
            "scores to the original size before taking the argmax."
        )
    checked = []
    for what, labels in (("prediction", prediction), ("truth", truth)):
        if labels.is_floating_point() or labels.is_complex():
            raise ValueError(f"{what} must hold class indices, integers. Got {labels.dtype}.")
        labels = labels.long()  # else a uint8 255 equals -1
        strange = ((labels < 0) | (labels >= classes)) & (labels != ignore)
        if strange.any():
            raise ValueError(
                f"{what} must hold classes in [0, {classes - 1}] or {ignore}. {int(strange.sum())} pixels do not, "
                f"such as {int(labels[strange][0])}."
            )
        checked.append(labels)
    return checked[0], checked[1]


def marginals(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of each class that are predicted as it, that have it, and that are predicted to have it, (C,), int64,
    on the CPU. Raises ValueError unless `confusion` is (C, C) or (C, C + 1), int >= 0."""
    classes = len(confusion)
    if confusion.ndim != 2 or classes < 1 or confusion.shape[1] - classes not in (0, 1):
        raise ValueError(f"confusion must be (C, C) or (C, C + 1). Got {tuple(confusion.shape)}.")
    if confusion.is_floating_point() or (confusion < 0).any():
        raise ValueError(f"confusion must hold counts, integers >= 0. Got {confusion.dtype}, some below 0.")
    counts = confusion.long().cpu()
    return counts.diagonal(), counts.sum(1), counts[:, :classes].sum(0)


def class_iou(confusion: Tensor, *, convention: Convention = "detectron2") -> Tensor:
    """Intersection over union of each class, (C,), float64, in [0, 1]; NaN if a class does not count.

    `confusion` is (C, C), int, rows the truth, or (C, C + 1), whose last column counts pixels without a class.
    Raises ValueError for another shape, negative counts or an unknown convention, DataError if no pixel is counted.
    """
    return iou_of(*marginals(confusion), convention=convention)


def mean_iou(confusion: Tensor, *, convention: Convention = "detectron2") -> float:
    """mIoU: the mean of `class_iou` over the classes that count, in [0, 1]; arguments and errors are the same."""
    return float(class_iou(confusion, convention=convention).nanmean())


def frequency_weighted_iou(confusion: Tensor) -> float:
    """IoU of each class present in the truth, weighted by its share of the counted pixels (Long et al., CVPR 2015,
    "frequency weighted IU"); the same in both conventions."""
    _, truth, _ = marginals(confusion)
    return float((class_iou(confusion).nan_to_num() * truth / truth.sum()).sum())


def class_accuracy(confusion: Tensor) -> Tensor:
    """Share of each class's pixels that are predicted as it, (C,), float64; NaN if it has none."""
    hits, truth, _ = marginals(confusion)
    return torch.where(truth > 0, hits.double() / truth, torch.nan)


def mean_accuracy(confusion: Tensor) -> float:
    """The mean of `class_accuracy` over the classes present in the truth, in [0, 1]."""
    return float(class_accuracy(confusion).nanmean())


def pixel_accuracy(confusion: Tensor) -> float:
    """Share of the counted pixels whose prediction is right, in [0, 1]."""
    hits, truth, _ = marginals(confusion)
    return float(hits.sum().double() / truth.sum())


def seen_unseen_iou(
    confusion: Tensor, seen: Collection[int], *, convention: Convention = "detectron2"
) -> Metrics:
    """miou_seen of the classes that training saw, by their indices, miou_unseen of the others, and miou_harmonic.

    Errors are those of `class_iou`; ValueError if an index is no class, and DataError if no seen or no unseen class
    counts. Source: Xian et al., CVPR 2019 (SPNet), generalised zero-shot segmentation.
    """
    iou = class_iou(confusion, convention=convention)
    outside = [index for index in seen if not 0 <= index < len(iou)]
    if outside:
        raise ValueError(f"seen classes must be in [0, {len(iou) - 1}]. Got {outside[0]}.")
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
    """Computes every metric that one confusion matrix gives; errors are those of `class_iou`. `miou` is
    detectron2's, `unlabelled` the share of counted pixels without a class."""
    _, truth, predicted = marginals(confusion)
    total, accuracy = int(truth.sum()), pixel_accuracy(confusion)
    return {
        "miou": mean_iou(confusion, convention="detectron2"),
        "miou_ovseg": mean_iou(confusion, convention="ovseg"),
        "fwiou": frequency_weighted_iou(confusion),
        "mean_accuracy": mean_accuracy(confusion),
        "pixel_accuracy": accuracy,
        "pixel_error": 1 - accuracy,
        "unlabelled": (total - int(predicted.sum())) / total,
        "classes": int((truth > 0).sum()),
        "pixels": total,
    }


def iou_of(hits: Tensor, truth: Tensor, predicted: Tensor, *, convention: Convention) -> Tensor:
    """`class_iou` from the number of elements of each class that are predicted as it, that have it, and that are
    predicted to have it, (C,) each."""
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


def boundary_counts(
    prediction: Tensor, truth: Tensor, classes: int, *, ratio: float = RATIO, ignore: int = IGNORE
) -> Tensor:
    """Counts the rim pixels of one image, (3, C), int64, on the CPU: of both maps, of the truth, of the prediction.

    Arguments and errors are those of `confusion_matrix`, but the maps are (H, W); `ratio` is d over the image's
    diagonal. The counts of a set's images are summed.
    """
    prediction, truth = checked_labels(prediction, truth, classes, ignore=ignore)
    if truth.ndim != 2:
        raise ValueError(f"label maps must be (H, W). Got {tuple(truth.shape)}.")
    distance = rim_width(truth.shape[0], truth.shape[1], ratio=ratio)
    counted = truth != ignore
    true_rim = is_rim(truth, distance) & counted
    predicted_rim = is_rim(prediction, distance) & counted & (prediction != ignore)
    both = true_rim & predicted_rim & (truth == prediction)
    chosen = (truth[both], truth[true_rim], prediction[predicted_rim])
    return torch.stack([torch.bincount(labels, minlength=classes) for labels in chosen]).cpu()


def class_boundary_iou(counts: Tensor, *, convention: Convention = "detectron2") -> Tensor:
    """Boundary IoU of each class from the summed counts of a set: (3, C) -> (C,), float64, NaN as in `class_iou`."""
    if counts.ndim != 2 or len(counts) != 3:
        raise ValueError(f"counts must be (3, C), as boundary_counts gives. Got {tuple(counts.shape)}.")
    return iou_of(counts[0], counts[1], counts[2], convention=convention)


def boundary_iou(counts: Tensor, *, convention: Convention = "detectron2") -> float:
    """The mean of `class_boundary_iou` over the classes that count, in [0, 1]."""
    return float(class_boundary_iou(counts, convention=convention).nanmean())


def rim_width(height: int, width: int, *, ratio: float = RATIO) -> int:
    """d in pixels, at least 1."""
    return max(1, round(ratio * math.hypot(height, width)))


def is_rim(labels: Tensor, distance: int) -> Tensor:
    """Which pixels of a label map lie within `distance` of another label or of the image's edge; (H, W) -> bool.

    They are those around which two neighbours in a square differ. Summed tables count such pairs in a time that
    depends neither on the distance nor on the number of classes.
    """
    outside = int(labels.min()) - 1 if labels.numel() else 0  # a label of its own
    padded = F.pad(labels.long(), [distance] * 4, value=outside)
    side = 2 * distance + 1
    across = _in_boxes(padded[:, 1:] != padded[:, :-1], side, side - 1)
    down = _in_boxes(padded[1:] != padded[:-1], side - 1, side)
    return across + down > 0


def _in_boxes(marks: Tensor, height: int, width: int) -> Tensor:
    table = F.pad(marks.cumsum(0).cumsum(1), (1, 0, 1, 0))
    return (
        table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
    )
