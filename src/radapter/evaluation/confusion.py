"""Counting pixels by class and prediction, over images, batches and processes.

Pixels are counted at the resolution of the truth; a pixel that the truth ignores is counted nowhere, as if the image
did not have it. Counts are integers, so that their sum is exact, whatever its order.
"""

from typing import final

import torch
from torch import Tensor
from torch import distributed as dist

from radapter.data.masks.paired import IGNORE


@final
class Confusion:
    """How often each class is predicted as each other, counted image by image.

    Args:
        classes: C.
        ignore: the label of pixels that are not counted; as a prediction it means no class.

    Attributes:
        counts: (C, C + 1), int64, on the CPU: rows the truth, columns the prediction, the last column pixels that
            were given no class.
    """

    def __init__(self, classes: int, *, ignore: int = IGNORE) -> None:
        if classes < 1:
            raise ValueError(f"classes must be at least 1. Got {classes}.")
        if 0 <= ignore < classes:
            raise ValueError(f"ignore must be no class, outside [0, {classes - 1}]. Got {ignore}.")
        self._ignore = ignore
        self.counts = torch.zeros(classes, classes + 1, dtype=torch.int64)

    def add(self, prediction: Tensor, truth: Tensor) -> None:
        """Counts one image, or several of one size.

        Args:
            prediction: class indices of any shape, such as (H, W), int.
            truth: the same shape.

        Raises:
            ValueError: the shapes differ, or a value is neither a class nor `ignore`; nothing was counted.
        """
        self.counts += confusion_matrix(prediction, truth, len(self.counts), ignore=self._ignore)

    def merge(self, other: "Confusion") -> None:
        """Adds what another has counted.

        Raises:
            ValueError: it counts another number of classes.
        """
        if other.counts.shape != self.counts.shape:
            raise ValueError(
                f"confusions must have as many classes. Got {len(self.counts)} and {len(other.counts)}."
            )
        self.counts += other.counts

    def sum_over_processes(self) -> None:
        """Makes every process hold the sum over all of them; does nothing where there is one.

        Each image must have been counted by one process alone. A sampler that pads the last batch with images that
        another process has counted too would count them twice; `indices[rank::world_size]` does not.
        """
        if dist.is_available() and dist.is_initialized():
            device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
            total = self.counts.to(device)
            dist.all_reduce(total)
            self.counts = total.cpu()


def confusion_matrix(prediction: Tensor, truth: Tensor, classes: int, *, ignore: int = IGNORE) -> Tensor:
    """Counts pixels by class and prediction.

    Args:
        prediction: class indices of any shape, int.
        truth: the same shape.
        classes: C.
        ignore: the label of pixels that are not counted; as a prediction it means no class.

    Returns:
        (C, C + 1), int64, on the CPU, as `Confusion.counts`.

    Raises:
        ValueError: the shapes differ, or a value is neither a class nor `ignore`.
    """
    prediction, truth = checked_labels(prediction, truth, classes, ignore=ignore)
    counted = truth != ignore
    rows, columns = truth[counted], prediction[counted]
    columns = torch.where(columns == ignore, classes, columns)
    flat = torch.bincount(rows * (classes + 1) + columns, minlength=classes * (classes + 1))
    return flat.view(classes, classes + 1).cpu()


def checked_labels(
    prediction: Tensor, truth: Tensor, classes: int, *, ignore: int = IGNORE
) -> tuple[Tensor, Tensor]:
    """Prediction and truth as int64.

    Raises:
        ValueError: the shapes differ, or a value is neither a class nor `ignore`.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction must have the truth's shape, {tuple(truth.shape)}. Got {tuple(prediction.shape)}. Resize "
            "scores to the original size before taking the argmax."
        )
    return (
        _checked(prediction, classes, ignore, "prediction"),
        _checked(truth, classes, ignore, "truth"),
    )


def _checked(labels: Tensor, classes: int, ignore: int, what: str) -> Tensor:
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"{what} must hold class indices, integers. Got {labels.dtype}.")
    labels = labels.long()  # else a uint8 255 equals -1
    strange = ((labels < 0) | (labels >= classes)) & (labels != ignore)
    if strange.any():
        raise ValueError(
            f"{what} must hold classes in [0, {classes - 1}] or {ignore}. {int(strange.sum())} pixels do not, "
            f"such as {int(labels[strange][0])}."
        )
    return labels
