"""An image as the cells of its regions, so that a sweep over alpha computes its class map at little cost.

    S_c(h, w) = sum_q s_qc m_q(h, w)

depends on a pixel only through its column m(h, w). Pixels with the same column and the same true class are a cell:
they get the same class, whatever the scores s are. A hundred regions of a photograph make some hundreds of cells,
where pixels are tens of thousands.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Cells(NamedTuple):
    """K cells of an image with Q regions; pixels without a true class are left out.

    shares: (K, Q), float32, the value of each region's mask on the cell. classes: (K,), int64, the true class.
    pixels: (K,), int64, the number of pixels.
    """

    shares: Tensor
    classes: Tensor
    pixels: Tensor

    def named(self, scores: Tensor) -> Tensor:
        """The class of every cell from the scores (Q, C) of the regions: (K,), int64; C, no class, if no region has
        a score.
        """
        best, named = (self.shares @ scores.float().cpu()).max(1)
        return torch.where(best > 0, named, scores.shape[1])


def cells_of(masks: Tensor, labels: Tensor) -> Cells:
    """The cells of one image.

    Args:
        masks: Its regions, (Q, H, W), bool or floating point in [0, 1].
        labels: The true class of each pixel, (H, W), int64; negative for none.

    Raises:
        ValueError: Masks and labels differ in size.
    """
    if masks.shape[1:] != labels.shape:
        raise ValueError(
            f"masks must be (Q, {labels.shape[0]}, {labels.shape[1]}), as labels. Got {tuple(masks.shape)}."
        )
    known = labels >= 0
    true, columns = labels[known], masks[:, known]  # (P,), (Q, P)
    cell, kinds = _numbered(true)
    for mask in columns:
        value, values = (mask, 2) if mask.dtype == torch.bool else _numbered(mask)
        if kinds * values >= 2**62:  # before the number of a cell leaves an int64
            cell, kinds = _numbered(cell)
        cell, kinds = cell * values + value, kinds * values
    cell, count = _numbered(cell)
    first = torch.zeros(count, dtype=torch.int64).scatter_(
        0, cell, torch.arange(len(cell))
    )  # any of its pixels
    return Cells(columns[:, first].T.float().contiguous(), true[first], torch.bincount(cell, minlength=count))


def _numbered(values: Tensor) -> tuple[Tensor, int]:
    distinct, places = torch.unique(values, return_inverse=True)
    return places, len(distinct)
