"""How far mIoU or rsum would move with other images: their standard error by the jackknife.

Neither is a share of n, of which sqrt(a (1 - a) / n) would be the standard error: mIoU is a ratio of sums over
pixels, averaged over classes, and rsum sums six recalls that rise and fall together. What is drawn are images, each
with its pixels or its captions, or groups of images with one caption. The jackknife leaves out one at a time:

    se = sqrt((n - 1) / n sum_i (theta_i - mean theta)^2),  theta_i = the figure of all images but i

It needs each image's counts alone, and draws nothing at random. A bootstrap over images gives the same to a few per
cent (a test compares them).

Source: Tukey 1958; Efron and Stein, Annals of Statistics 1981.
"""

import math

import torch
from torch import Tensor

from radapter.evaluation.retrieval import CUTOFFS, RetrievalRanks


def miou_standard_error(matched: Tensor, truth: Tensor, predicted: Tensor) -> float:
    """The standard error of mIoU over images, in detectron2's convention.

    Args:
        matched: pixels of each image and class that are predicted rightly, (N, C), int.
        truth: pixels that have the class, (N, C), int.
        predicted: pixels, of those with a class, that are predicted to have it, (N, C), int.

    Returns:
        In [0, 1]; 0 for one image, which tells nothing.

    Raises:
        ValueError: shapes differ, or there is no image.
    """
    if matched.ndim != 2 or len(matched) == 0 or not matched.shape == truth.shape == predicted.shape:
        shapes = [tuple(each.shape) for each in (matched, truth, predicted)]
        raise ValueError(f"matched, truth and predicted must all be (N, C), N at least 1. Got {shapes}.")
    matched, truth, predicted = (
        each.sum(0) - each for each in (matched, truth, predicted)
    )  # without image i
    present = truth > 0
    iou = matched.double() / (truth + predicted - matched).clamp(min=1)
    return _standard_error((iou * present).sum(1) / present.sum(1).clamp(min=1))


def rsum_standard_error(ranks: RetrievalRanks, unit_of_image: Tensor, unit_of_text: Tensor) -> float:
    """The standard error of rsum over units: an image with its captions, or a group of images with theirs.

    A unit that is left out asks no more; as an answer to the others it stays, so that ranks are counted once.

    Args:
        ranks: of N images and M texts.
        unit_of_image: (N,), int in [0, U).
        unit_of_text: (M,), int in [0, U).

    Returns:
        In [0, 6], like rsum itself; 0 for one unit, which tells nothing.

    Raises:
        ValueError: shapes do not fit.
    """
    directions = ((ranks.image_to_text, unit_of_image), (ranks.text_to_image, unit_of_text))
    if any(found.shape != unit.shape for found, unit in directions):
        raise ValueError(
            f"unit_of_image must be (N,) = ({len(ranks.image_to_text)},) and unit_of_text (M,) = "
            f"({len(ranks.text_to_image)},). Got {tuple(unit_of_image.shape)} and {tuple(unit_of_text.shape)}."
        )
    units = 1 + max(int(unit.max()) for _, unit in directions)
    left_out = torch.zeros(units, dtype=torch.float64)
    for found, unit in directions:
        found, unit = found.cpu(), unit.cpu()
        passed = (found[:, None] <= torch.tensor(CUTOFFS)).sum(1)  # cutoffs, of each query
        of_unit = torch.zeros(units, dtype=torch.int64).index_add_(0, unit, passed)
        left = len(unit) - torch.bincount(unit, minlength=units)
        left_out += (of_unit.sum() - of_unit).double() / left.clamp(min=1)
    return _standard_error(left_out)


def _standard_error(left_out: Tensor) -> float:
    """From the figure of all units but one, (N,), in any order to the last bit."""
    images, left_out = len(left_out), left_out.sort().values
    return math.sqrt((images - 1) / images * float((left_out - left_out.mean()).square().sum()))


def counts_by_class(truth: Tensor, predicted: Tensor, pixels: Tensor, classes: int) -> Tensor:
    """Pixels of one image by class: matched, true, predicted.

    Args:
        truth: (K,), int64, the true classes of K groups of pixels.
        predicted: (K,), int64, what each is predicted as; C, no class, is counted nowhere.
        pixels: (K,), int64, how many pixels each holds.
        classes: C.

    Returns:
        (3, C), int64.
    """
    counts = torch.zeros(3, classes + 1, dtype=torch.int64)
    counts[0].index_add_(0, truth, pixels * (truth == predicted))
    counts[1].index_add_(0, truth, pixels)
    counts[2].index_add_(0, predicted, pixels)
    return counts[:, :classes]
