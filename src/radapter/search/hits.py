"""The images of an index that are nearest to a text; the search is exact, since every feature is read."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from radapter.evaluation.cosines import TILE, in_tiles, nearest
from radapter.search.index import ImageIndex


@final
@dataclass(frozen=True)
class Hit:
    """One image found.

    Attributes:
        rank: 1 is best.
        cosine: of image and text, in [-1, 1].
        path: relative to the folder that was indexed.
    """

    rank: int
    cosine: float
    path: str


def find(index: ImageIndex, text_features: Tensor, *, top: int) -> list[list[Hit]]:
    """For each text its nearest images, best first; of equal ones the first by path.

    Args:
        index: of the same model; read in tiles.
        text_features: unit norm, (Q, E).
        top: images a text; all where there are fewer.

    Raises:
        ValueError: `top` is below 1, or a text is not of unit norm.
    """
    cosines, rows = nearest(text_features, in_tiles(index.features, TILE), top=top)
    return [
        [
            Hit(rank, cosine, index.paths[row])
            for rank, (cosine, row) in enumerate(zip(*found, strict=True), start=1)
        ]
        for found in zip(cosines.tolist(), rows.tolist(), strict=True)
    ]
