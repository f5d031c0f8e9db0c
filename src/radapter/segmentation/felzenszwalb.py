"""Regions without any weights: Felzenszwalb's graph segmentation at several scales, near copies removed.

Source: Felzenszwalb and Huttenlocher, IJCV 2004, as scikit-image computes it.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from radapter.errors import ConfigError, MissingExtraError
from radapter.segmentation.overlaps import segment_iou, suppress
from radapter.segmentation.proposals import Proposals


@final
class FelzenszwalbProposer:
    """Segments of every scale, largest first, near copies dropped; together they cover the image.

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
        self._sigma = sigma
        self._min_size = min_size
        self._max_overlap = max_overlap
        self._max_regions = max_regions
        self._segment = _felzenszwalb()

    def __call__(self, image: Image) -> Proposals:
        """Regions of an RGB image: masks of 0 and 1 in half precision, objectness 1."""
        pixels = np.asarray(image.convert("RGB"))
        maps = [self._labels(pixels, scale) for scale in self._scales]
        # A segment that is kept drops at most one of each other scale, so no more candidates are ever looked at.
        candidates = _largest(maps, len(maps) * self._max_regions)
        kept = candidates[suppress(_overlaps(maps, candidates), threshold=self._max_overlap)]
        places = kept[: self._max_regions].tolist()
        masks = torch.stack([maps[scale] == label for scale, label in places])
        masks = _covering(masks, self._max_regions)
        return Proposals(masks.half(), torch.ones(len(masks)))

    def _labels(self, pixels: np.ndarray, scale: float) -> Tensor:
        labels = self._segment(
            pixels, scale=scale, sigma=self._sigma, min_size=self._min_size, channel_axis=-1
        )
        return torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))


def _largest(maps: Sequence[Tensor], count: int) -> Tensor:
    areas = [torch.bincount(labels.flatten()) for labels in maps]
    places = torch.cat(
        [torch.stack([torch.full_like(a, s), torch.arange(len(a))], 1) for s, a in enumerate(areas)]
    )
    return places[torch.cat(areas).argsort(descending=True, stable=True)[:count]]


def _overlaps(maps: Sequence[Tensor], candidates: Tensor) -> Tensor:
    chosen, numbers = [], []
    for scale, labels in enumerate(maps):
        rows = torch.nonzero(candidates[:, 0] == scale)[:, 0]
        table = torch.full((int(labels.max()) + 1,), -1)
        table[candidates[rows, 1]] = torch.arange(len(rows))
        chosen.append(table[labels])
        numbers.append(rows)
    back = torch.cat(numbers).argsort()
    return segment_iou(chosen)[back][:, back]


def _covering(masks: Tensor, max_regions: int) -> Tensor:
    if masks.any(0).all():
        return masks
    masks = masks[: max_regions - 1]
    return torch.cat([masks, ~masks.any(0, keepdim=True)])


def _felzenszwalb() -> Any:
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise MissingExtraError(
            "the Felzenszwalb proposer needs scikit-image, which is not installed. "
            "Run pip install 'radapter[segmentation]', or give another proposer."
        ) from error
    return felzenszwalb
