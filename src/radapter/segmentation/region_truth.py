"""What proposals truly show: an oracle that knows every class, so that what is still wrong is the proposer's fault.

Its counterpart gives the classifier the true masks, so that what is still wrong is the classifier's. Between the two
and the pipeline's own figure, errors are told apart.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.data.masks.paired import IGNORE

_BLOCK = 1 << 20  # pixels added up at a time


def majority_classes(masks: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The class that most of each region has.

        argmax_c  sum over pixels of class c of the region's mask

    Pixels of no class do not vote: nothing said there is counted, so that a region half of which is ignored is still
    best named by its other half.

    Args:
        masks: (Q, H, W), bool or floating point in [0, 1]; a pixel votes by its value.
        labels: (H, W), int64, class indices and IGNORE.
        classes: C.

    Returns:
        (Q,), int64; the lower class on a tie, IGNORE where no pixel with a class is in the region.

    Raises:
        ValueError: the sizes differ, or a label is neither a class nor IGNORE.
    """
    if masks.ndim != 3 or masks.shape[1:] != labels.shape:
        raise ValueError(f"masks must be (Q, *{tuple(labels.shape)}), as labels. Got {tuple(masks.shape)}.")
    if labels.numel() and not IGNORE <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels must hold classes in [0, {classes - 1}] or {IGNORE}. They span [{int(labels.min())}, "
            f"{int(labels.max())}]."
        )
    flat, place = masks.flatten(1), labels.flatten() + 1  # column 0 collects what has no class
    votes = torch.zeros(len(masks), classes + 1, dtype=torch.float64, device=masks.device)
    for start in range(0, flat.shape[1], _BLOCK):
        part = slice(start, start + _BLOCK)
        votes.index_add_(1, place[part], flat[:, part].double())
    most, best = votes[:, 1:].max(1)
    return torch.where(most > 0, best, IGNORE)


def certain_scores(region_classes: Tensor, classes: int) -> Tensor:
    """Class scores of regions whose classes are known: (Q,) int64 -> (Q, C) float32, one-hot; zeros for IGNORE."""
    return F.one_hot(region_classes + 1, classes + 1)[:, 1:].float()
