"""One image assembled from its tiles, and the two files that keep the result.

Each tile is segmented by itself, so an image of any size takes the memory of one tile. A region ends at its tile's
edge. An image that is not tiled is one tile.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple, final

import numpy as np
import torch
from PIL import Image

from radapter.segmentation.classifier import Segmentation
from radapter.segmentation.crops import THRESHOLD, tight_boxes
from radapter.segmentation.mask_files import encode
from radapter.segmentation.overlay import UNLABELLED, colour
from radapter.segmentation.pixels import NOTHING
from radapter.segmentation.proposals import Proposals


class Tile(NamedTuple):
    """A part of an image."""

    left: int  # of its place, pixels
    top: int
    image: Image.Image


def tiles(image: Image.Image, side: int | None) -> Iterator[Tile]:
    """Cuts an image into parts of nearly equal size, row by row; no part is higher or wider than `side`, None for
    one part."""
    for top, bottom in _cuts(image.height, side):
        for left, right in _cuts(image.width, side):
            yield Tile(left, top, image.crop((left, top, right, bottom)))


@final
class Canvas:
    """Collects the label map and the regions of one image.

    Args:
        size: Width and height, pixels.
        classnames: C names.

    Attributes:
        labels: (H, W), int32, into the classes; NOTHING where no tile was added.
        regions: A mapping for each region that has a pixel, as COCO's annotations: `segmentation` (run lengths),
            `bbox` (left, top, width, height), `area`; and `class`, `score` and `objectness`.
    """

    def __init__(self, size: tuple[int, int], classnames: Sequence[str]) -> None:
        self.labels = torch.full((size[1], size[0]), NOTHING, dtype=torch.int32)
        self.regions: list[dict[str, Any]] = []
        self._classnames = tuple(classnames)

    def add(self, tile: Tile, proposals: Proposals, segmentation: Segmentation) -> None:
        """Puts a segmented tile in its place."""
        height, width = segmentation.labels.shape
        size = self.labels.shape[0], self.labels.shape[1]
        self.labels[tile.top : tile.top + height, tile.left : tile.left + width] = segmentation.labels
        for number in segmentation.valid.nonzero()[:, 0].tolist():
            mask = proposals.masks[number] > THRESHOLD
            left, top, right, bottom = tight_boxes(mask[None])[0].tolist()
            part = mask[top:bottom, left:right]
            left, top = tile.left + left, tile.top + top
            score, best = segmentation.scores[number].max(0)
            region = {
                "class": self._classnames[int(best)],
                "score": round(float(score), 6),
                "objectness": round(float(proposals.objectness[number]), 6),
                "area": int(part.sum()),
                "bbox": [left, top, part.shape[1], part.shape[0]],
                "segmentation": encode(part, left=left, top=top, size=size),
            }
            self.regions.append(region)

    def document(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """The content of the JSON file: `about`, the size, the classes and the regions."""
        size, classes = list(self.labels.shape), list(self._classnames)
        return {**about, "size": size, "classes": classes, "regions": self.regions}

    def write_labels(self, file: IO[bytes]) -> None:
        """Writes the label map as PNG: the value of a pixel is the number of its class.

        With up to 255 classes, pixels have 8 bits, the palette holds the classes' colours, and 255 means no class.
        With more they have 16 bits, and 65535 means no class.
        """
        few = len(self._classnames) <= 255
        none, kind = (255, np.uint8) if few else (65535, np.uint16)
        image = Image.fromarray(torch.where(self.labels == NOTHING, none, self.labels).numpy().astype(kind))
        if few:
            image.putpalette(sum((colour(number) for number in range(255)), ()) + UNLABELLED)
        image.save(file, "PNG")


def _cuts(length: int, side: int | None) -> list[tuple[int, int]]:
    count = 1 if side is None else -(-length // side)
    return list(itertools.pairwise(round(number * length / count) for number in range(count + 1)))
