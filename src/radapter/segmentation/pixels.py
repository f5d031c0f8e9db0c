"""From scored regions to a class for every pixel, and from a label map to its regions.

    S_c(h, w) = sum_q s_qc m_q(h, w),    label(h, w) = argmax_c S_c(h, w)

The scores of all classes at all pixels are never held: 847 of them on a picture of 640 x 853 are 1.8 GB. Pixels are
taken in strips and classes in blocks, and only the best class so far is kept.
"""

from collections.abc import Collection

import torch
from torch import Tensor

_PIXELS = 1 << 15  # a strip of 100 regions is 13 MB in float32
_CLASSES = 128  # a block of classes on a strip is 17 MB

NOTHING = -1
"""The label of a pixel to which no region gives a score."""


def label_map(scores: Tensor, masks: Tensor, *, class_block: int = _CLASSES) -> Tensor:
    """The class of every pixel; the lower class if scores are equal.

    Args:
        scores: s, (Q, C), 0 or more.
        masks: m, (Q, H, W), in [0, 1]; computed in float32, or in float64 if the scores are.
        class_block: Classes held at a time.

    Returns:
        (H, W), int64, in [0, C), or NOTHING if no class has a score above 0.
    """
    queries, height, width = masks.shape
    flat = masks.reshape(queries, height * width)
    by_class = scores.T.to(scores.dtype if scores.dtype == torch.float64 else torch.float32)
    labels = torch.full((height * width,), NOTHING, dtype=torch.int64, device=masks.device)
    for start in range(0, height * width, _PIXELS):
        strip = flat[:, start : start + _PIXELS].to(by_class.dtype)
        best = strip.new_zeros(strip.shape[1])
        for first in range(0, len(by_class), class_block):
            block = by_class[first : first + class_block] @ strip
            values, rows = block.max(0)
            better = values > best
            best = torch.where(better, values, best)
            part = labels[start : start + _PIXELS]
            part[better] = rows[better] + first
    return labels.view(height, width)


def label_regions(labels: Tensor, *, ignored: Collection[int] = ()) -> tuple[Tensor, Tensor]:
    """One region for each value of a label map (H, W), int, except the `ignored` values.

    Returns:
        Masks (Q, H, W), bool, and their values (Q,), ascending.
    """
    values: Tensor = torch.unique(labels)
    values = values[[value not in ignored for value in values.tolist()]]
    return labels[None] == values[:, None, None], values
