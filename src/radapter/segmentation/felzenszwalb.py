"""Regions without any weights: Felzenszwalb's graph segmentation at several scales, near copies removed.

Source: Felzenszwalb and Huttenlocher, IJCV 2004, as scikit-image computes it.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from PIL.Image import Image

from radapter.errors import ConfigError, import_extra
from radapter.segmentation.proposals import Proposals, segment_iou, suppress


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
