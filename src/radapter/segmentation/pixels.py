"""From scored regions to a class for every pixel, and from a label map to its regions.

    S_c(h, w) = sum_q s_qc m_q(h, w),    label(h, w) = argmax_c S_c(h, w)

`label_map` never holds the scores of all classes at all pixels: 847 of them on an image of 640 x 853 are 1.8 GB. It
takes pixels in strips and classes in blocks, and keeps only the best class so far.

`cells_of` makes a sweep over alpha cheap. S depends on a pixel only through its column m(h, w). Pixels with the same
column and the same true class are a cell: they get the same class, whatever the scores s are. A hundred regions of a
photograph make some hundreds of cells, where pixels are tens of thousands.
"""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

_PIXELS = 1 << 15  # a strip of 100 regions is 13 MB in float32
_CLASSES = 128  # a block of classes on a strip is 17 MB

NOTHING = -1
"""The label of a pixel to which no region gives a score."""


def label_map(scores: Tensor, masks: Tensor, *, class_block: int = _CLASSES) -> Tensor:
    """The class of every pixel, (H, W), int64, in [0, C), the lower one if scores are equal; NOTHING if no class has
    a score above 0.

    Args:
        scores: s, (Q, C), 0 or more.
        masks: m, (Q, H, W), in [0, 1]; computed in float32, or in float64 if the scores are.
        class_block: Classes held at a time.
    """
    queries, height, width = masks.shape
    flat = masks.reshape(queries, height * width)
    by_class = scores.T.to(scores.dtype if scores.dtype == torch.float64 else torch.float32)
    labels = torch.full((height * width,), NOTHING, dtype=torch.int64, device=masks.device)
    for start in range(0, height * width, _PIXELS):
        strip = flat[:, start : start + _PIXELS].to(by_class.dtype)
        best = strip.new_zeros(strip.shape[1])
        for first in range(0, len(by_class), class_block):
            values, rows = (by_class[first : first + class_block] @ strip).max(0)
            better = values > best
            best = torch.where(better, values, best)
            labels[start : start + _PIXELS][better] = rows[better] + first
    return labels.view(height, width)


def label_regions(labels: Tensor, *, ignored: Collection[int] = ()) -> tuple[Tensor, Tensor]:
    """One region for each value of a label map (H, W), int, except the `ignored` values: masks (Q, H, W), bool, and
    their values (Q,), ascending."""
    values: Tensor = torch.unique(labels)
    values = values[[value not in ignored for value in values.tolist()]]
    return labels[None] == values[:, None, None], values


class Cells(NamedTuple):
    """K cells of an image with Q regions; pixels without a true class are left out."""

    shares: Tensor  # (K, Q), float32, the value of each region's mask on the cell
    classes: Tensor  # (K,), int64, the true class
    pixels: Tensor  # (K,), int64, the number of pixels

    def named(self, scores: Tensor) -> Tensor:
        """The class of every cell from the scores (Q, C) of the regions: (K,), int64; C, no class, if no region has
        a score."""
        best, named = (self.shares @ scores.float().cpu()).max(1)
        return torch.where(best > 0, named, scores.shape[1])


def cells_of(masks: Tensor, labels: Tensor) -> Cells:
    """The cells of one image: its regions (Q, H, W), bool or floating point in [0, 1], and the true class of each
    pixel (H, W), int64, negative for none. Raises ValueError if masks and labels differ in size."""
    return placed_cells(masks, labels)[0]


def placed_cells(masks: Tensor, labels: Tensor) -> tuple[Cells, Tensor]:
    """As `cells_of`, with the cell of each pixel, (H, W), int64, -1 for a pixel without a true class."""
    if masks.shape[1:] != labels.shape:
        wanted = ", ".join(map(str, ("Q", *labels.shape)))
        raise ValueError(f"masks must be ({wanted}), as labels. Got {tuple(masks.shape)}.")
    known = labels >= 0
    true, columns = labels[known], masks[:, known]  # (P,), (Q, P)
    cell, kinds = _numbered(true)
    for mask in columns:
        value, values = (mask, 2) if mask.dtype == torch.bool else _numbered(mask)
        if kinds * values >= 2**62:  # before the number of a cell exceeds an int64
            cell, kinds = _numbered(cell)
        cell, kinds = cell * values + value, kinds * values
    cell, count = _numbered(cell)
    first = torch.zeros(count, dtype=torch.int64)
    first.scatter_(0, cell, torch.arange(len(cell)))  # any of its pixels
    places = torch.full(labels.shape, -1)
    places[known] = cell
    counts = torch.bincount(cell, minlength=count)
    return Cells(columns[:, first].T.float().contiguous(), true[first], counts), places


def _numbered(values: Tensor) -> tuple[Tensor, int]:
    distinct, places = torch.unique(values, return_inverse=True)
    return places, len(distinct)
