"""Class-agnostic regions of an image: a proposer's output, and the overlaps of regions.

The intersections of binary masks are one matrix product. Those of the segments of label maps are counts of pairs of
labels, which need no masks. Both are exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL.Image import Image
from torch import Tensor

_BLOCK = 1 << 20  # pixels multiplied at a time: a float32 count is exact up to 2 ** 24


@dataclass(frozen=True, slots=True)
class Proposals:
    """Regions of one image of H x W pixels; Q may be 0."""

    masks: Tensor  # (Q, H, W), floating point in [0, 1], half precision where memory counts
    objectness: Tensor  # (Q,), in [0, 1]
    class_scores: Tensor | None = None  # (Q, C), the proposer's own class probabilities

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or not self.masks.is_floating_point():
            given = f"{tuple(self.masks.shape)} of {self.masks.dtype}"
            raise ValueError(f"masks must be (Q, H, W) in floating point. Got {given}.")
        regions, scores = len(self.masks), self.class_scores
        if self.objectness.shape != (regions,):
            shape = tuple(self.objectness.shape)
            raise ValueError(f"objectness must be ({regions},), as masks. Got {shape}.")
        if scores is not None and (scores.ndim != 2 or len(scores) != regions):
            raise ValueError(f"class_scores must be ({regions}, C), as masks. Got {tuple(scores.shape)}.")

    def __len__(self) -> int:
        return len(self.masks)


MaskProposer = Callable[[Image], Proposals]
"""Finds the regions of an RGB image, at its own size, whatever they show."""


def mask_iou(masks: Tensor) -> Tensor:
    """Intersection over union of every pair of masks: (Q, H, W) bool -> (Q, Q), float64; 0 if both are empty."""
    flat = masks.flatten(1)
    shared = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=masks.device)
    for start in range(0, flat.shape[1], _BLOCK):
        part = flat[:, start : start + _BLOCK].float()
        shared += (part @ part.T).double()
    return _over_union(shared)


def segment_iou(maps: Tensor) -> Tensor:
    """Intersection over union of every pair of N segments: (N, N), float64.

    `maps` (S, H, W), int64, are S label maps that share no number; 0 to N - 1 are segments, -1 is none.
    """
    flat = maps.flatten(1) + 1
    width = int(flat.max()) + 1
    pairs = (first * width + second for first in flat for second in flat)
    shared = sum(torch.bincount(pair, minlength=width**2) for pair in pairs)
    return _over_union(torch.as_tensor(shared).view(width, width)[1:, 1:].double())


def suppress(overlaps: Tensor, *, threshold: float) -> Tensor:
    """Which of N masks are kept, (N,), bool, best first: a mask is dropped if its overlap with a kept one, in the
    (N, N) intersections over union, exceeds `threshold`."""
    near = overlaps > threshold
    kept = torch.zeros(len(overlaps), dtype=torch.bool, device=overlaps.device)
    for row in range(len(overlaps)):
        kept[row] = not (near[row] & kept).any()
    return kept


def _over_union(shared: Tensor) -> Tensor:
    areas = shared.diagonal()
    union = areas[:, None] + areas[None, :] - shared
    return shared / union.clamp(min=1)
