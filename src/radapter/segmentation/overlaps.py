"""Intersection over union of all pairs of masks, and the suppression of near copies.

The intersections of binary masks are one matrix product. Those of segments of label maps are counts of pairs of
labels, which need no masks. Both are exact, as counts are whole numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 1 << 20  # pixels multiplied at a time: a float32 count is exact up to 2 ** 24


def mask_iou(masks: Tensor) -> Tensor:
    """Intersection over union of every pair of masks: (Q, H, W) bool -> (Q, Q), float64; 0 if both are empty."""
    flat = masks.flatten(1)
    shared = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=masks.device)
    for start in range(0, flat.shape[1], _BLOCK):
        part = flat[:, start : start + _BLOCK].float()
        shared += (part @ part.T).double()
    return _over_union(shared)


def segment_iou(maps: Sequence[Tensor]) -> Tensor:
    """Intersection over union of every pair of segments of S label maps of one image.

    Args:
        maps: (H, W), int64 each; the labels of map s are 0 to K_s - 1, and -1 where there is no segment.

    Returns:
        (K, K), float64, K the sum of all K_s; segments in the order of the maps, then of their labels.
    """
    flat = [labels.flatten() + 1 for labels in maps]
    counts = [int(labels.max()) + 1 for labels in flat]
    rows = []
    for first, height in zip(flat, counts, strict=True):
        blocks = [
            torch.bincount(first * width + second, minlength=height * width).view(height, width)[1:, 1:]
            for second, width in zip(flat, counts, strict=True)
        ]
        rows.append(torch.cat(blocks, 1))
    return _over_union(torch.cat(rows).double())


def suppress(overlaps: Tensor, *, threshold: float) -> Tensor:
    """Which of N masks stay, best first: a mask is dropped if its overlap with a kept one exceeds `threshold`.

    (N, N) intersections over union -> (N,), bool.
    """
    near = overlaps > threshold
    kept = torch.zeros(len(overlaps), dtype=torch.bool, device=overlaps.device)
    for row in range(len(overlaps)):
        kept[row] = not (near[row] & kept).any()
    return kept


def _over_union(shared: Tensor) -> Tensor:
    areas = shared.diagonal()
    union = areas[:, None] + areas[None, :] - shared
    return shared / union.clamp(min=1)
