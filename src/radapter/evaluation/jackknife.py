"""How far mIoU would move with other images: its standard error by the jackknife.

mIoU is a ratio of sums over pixels, averaged over classes. Pixels of an image stand and fall together, so images are
what is drawn; and a share of n it is not, so that sqrt(a (1 - a) / n) would say nothing. The jackknife leaves out
one image at a time:

    se = sqrt((n - 1) / n sum_i (theta_i - mean theta)^2),  theta_i = mIoU of all images but i

It needs each image's counts by class alone, and draws nothing at random. A bootstrap over images gives the same to a
few per cent (a test compares them).

Source: Tukey 1958; Efron and Stein, Annals of Statistics 1981.
"""

import math

import torch
from torch import Tensor


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
    images = len(matched)
    if images == 1:
        return 0.0
    matched, truth, predicted = (
        each.sum(0) - each for each in (matched, truth, predicted)
    )  # without image i
    present = truth > 0
    iou = matched.double() / (truth + predicted - matched).clamp(min=1)
    left_out = (iou * present).sum(1) / present.sum(1).clamp(min=1)
    spread = (left_out - left_out.mean()).square().sum()
    return math.sqrt((images - 1) / images * float(spread))


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
