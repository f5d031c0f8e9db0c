"""Class-agnostic regions of an image: a proposer's output, and a proposer that needs no weights.

Felzenszwalb's graph segmentation (Felzenszwalb and Huttenlocher, IJCV 2004, as scikit-image computes it) runs at
several scales, and near copies are removed. The intersections of binary masks are one matrix product; those of the
segments of label maps are counts of pairs of labels, which need no masks. Both are exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from radapter.errors import ConfigError, import_extra

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


@final
class FelzenszwalbProposer:
    """Segments of every scale, largest first, without near copies; together they cover the image.

    Args:
        scales: Larger ones give larger segments.
        sigma: Standard deviation of the Gaussian that smooths the image first, pixels.
        min_size: Smaller segments are joined to a neighbour, pixels.
        max_overlap: If the intersection over union of two segments is above it, the smaller one is dropped.
        max_regions: Maximum number of regions. If they leave pixels out, the last one is all of these.

    Raises:
        ConfigError: An argument is out of range.
        MissingExtraError: scikit-image is not installed.
    """

    def __init__(
        self,
        *,
        scales: Sequence[float] = (100, 300, 900),
        sigma: float = 0.8,
        min_size: int = 20,
        max_overlap: float = 0.8,
        max_regions: int = 100,
    ) -> None:
        if not scales or min(scales) <= 0:
            raise ConfigError(f"scales must hold numbers above 0. Got {list(scales)}. Use 100, 300, 900.")
        if max_regions < 1:
            raise ConfigError(f"max_regions must be at least 1. Got {max_regions}. Use 100.")
        if not 0.5 <= max_overlap <= 1:
            raise ConfigError(f"max_overlap must be in [0.5, 1]. Got {max_overlap}. Use 0.8.")
        self._scales = tuple(scales)
        self._options = {"sigma": sigma, "min_size": min_size, "channel_axis": -1}
        self._max_overlap = max_overlap
        self._max_regions = max_regions
        need = "the Felzenszwalb proposer needs scikit-image"
        self._segment = import_extra("skimage.segmentation", need, extra="segmentation").felzenszwalb

    def __call__(self, image: Image) -> Proposals:
        """Regions of an RGB image: masks of 0 and 1 in half precision, objectness 1."""
        pixels = np.asarray(image.convert("RGB"))
        maps, total = [], 0
        for scale in self._scales:
            labels = np.asarray(self._segment(pixels, scale=scale, **self._options), dtype=np.int64)
            maps.append(torch.from_numpy(labels + total))
            total += int(labels.max()) + 1
        numbers = torch.stack(maps)  # a number for each segment of each scale
        # A segment that is kept drops at most one of each other scale, so more candidates are not needed.
        areas = torch.bincount(numbers.flatten(), minlength=total)
        largest = areas.argsort(descending=True, stable=True)[: len(maps) * self._max_regions]
        place = torch.full((total,), -1)
        place[largest] = torch.arange(len(largest))
        candidates = place[numbers]
        kept = suppress(segment_iou(candidates), threshold=self._max_overlap).nonzero()[
            : self._max_regions, 0
        ]
        masks = torch.stack([(candidates == number).any(0) for number in kept.tolist()])
        if not masks.any(0).all():
            masks = masks[: self._max_regions - 1]
            masks = torch.cat([masks, ~masks.any(0, keepdim=True)])
        return Proposals(masks.half(), torch.ones(len(masks)))


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
