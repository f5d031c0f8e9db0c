"""How far mIoU or rsum would move with other images: their standard error by the jackknife.

Neither is a share of n, of which sqrt(a (1 - a) / n) would be the standard error: mIoU is a ratio of sums over
pixels, averaged over classes, and rsum sums six recalls that rise and fall together. What is drawn are images, each
with its pixels or its captions. The jackknife leaves out one at a time:

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


def rsum_standard_error(ranks: RetrievalRanks, image_of_text: Tensor) -> float:
    """The standard error of rsum over images, each with its captions.

    An image that is left out asks no more, nor do its captions; as an answer to the others it stays, so that ranks
    are counted once.

    Args:
        ranks: of N images and M texts.
        image_of_text: (M,), int in [0, N): the image whose caption a text is.

    Returns:
        In [0, 6], like rsum itself; 0 for one image, which tells nothing.

    Raises:
        ValueError: image_of_text is not (M,).
    """
    images, texts = len(ranks.image_to_text), len(ranks.text_to_image)
    if image_of_text.shape != (texts,):
        raise ValueError(f"image_of_text must be (M,) = ({texts},). Got {tuple(image_of_text.shape)}.")
    image_of_text = image_of_text.to(ranks.text_to_image.device)
    cutoffs = torch.tensor(CUTOFFS, device=ranks.text_to_image.device)
    own = (ranks.image_to_text[:, None] <= cutoffs).sum(1)  # cutoffs that an image passes
    asked = (ranks.text_to_image[:, None] <= cutoffs).sum(1)
    of_captions = torch.zeros_like(own).index_add_(0, image_of_text, asked)
    captions = torch.bincount(image_of_text, minlength=images)
    left_out = (own.sum() - own).double() / max(images - 1, 1)
    left_out += (of_captions.sum() - of_captions).double() / (texts - captions).clamp(min=1)
    return _standard_error(left_out)


def _standard_error(left_out: Tensor) -> float:
    """From the figure of all images but i, (N,), in any order to the last bit."""
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
