"""Boundary IoU: intersection over union of the rims of masks, in which large objects weigh no more than small ones.

    Boundary IoU(G, P) = |(G_d n G) n (P_d n P)| / |(G_d n G) u (P_d n P)|

Source: Cheng et al., "Boundary IoU: Improving object-centric image segmentation evaluation", CVPR 2021, and its
code, bowenc0221/boundary-iou-api.

G_d n G are the pixels of a mask within d of its outline, d = 2 % of the image's diagonal, at least 1 pixel.
Distance is the larger of the two offsets, as in d erosions by a 3 x 3 square. The edge of the image belongs to the
outline, and so does the border to ignored pixels, which are not counted themselves. detectron2 erodes the label
map instead of each class's mask, which gives different values.

A pixel lies on the rim of its class's mask exactly where two neighbours in the square of 2 d + 1 pixels around it
differ, or the square leaves the image. Summed tables count such pairs in a time that depends neither on d nor on the
number of classes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.data.masks.paired import IGNORE
from radapter.evaluation.miou import Convention, checked_labels, iou_of

RATIO = 0.02
"""d over the image's diagonal."""


def boundary_counts(
    prediction: Tensor, truth: Tensor, classes: int, *, ratio: float = RATIO, ignore: int = IGNORE
) -> Tensor:
    """Counts the rim pixels of one image; the counts of a set's images are summed.

    Arguments are those of `confusion_matrix`, but both maps are (H, W); `ratio` is d over the image's diagonal.
    Returns (3, C), int64, on the CPU: rim pixels of both, of the truth, of the prediction. Raises ValueError if the
    shapes do not fit, or a value is neither a class nor `ignore`.
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
    """Which pixels of a label map lie within `distance` of another label or of the image's edge; (H, W) -> bool."""
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
