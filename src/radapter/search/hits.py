"""The images of an index that are nearest to a text.

The search is exact where every feature is read. Among a FAISS index's candidates it is exact too, and the hits are
the same but for an image that should have been a candidate and was not; `benchmarks/search` measures how often.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from radapter.evaluation.cosines import TILE, in_tiles, nearest
from radapter.search.faiss_codes import FaissIndex
from radapter.search.index import ImageIndex

CANDIDATES = 500
"""Images that a FAISS index is asked for, for each text; ten a hit where more than 50 hits are wanted."""


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


def find(
    index: ImageIndex, text_features: Tensor, *, top: int, faiss: FaissIndex | None = None
) -> list[list[Hit]]:
    """For each text its nearest images, best first; of equal ones the first by path.

    Args:
        index: of the same model; read in tiles.
        text_features: unit norm, (Q, E).
        top: images a text; all where there are fewer.
        faiss: of the same features; its candidates alone are scored. None scores every image.

    Raises:
        MissingExtraError: faiss is given and not installed.
        ValueError: `faiss` is of other features, `top` is below 1, or a text is not of unit norm.
    """
    if faiss is None:
        cosines, rows = nearest(text_features, in_tiles(index.features, TILE), top=top)
    else:
        cosines, rows = _nearest_candidates(index.features, text_features, faiss, top=top)
    return [
        [
            Hit(rank, cosine, index.paths[row])
            for rank, (cosine, row) in enumerate(zip(*found, strict=True), start=1)
        ]
        for found in zip(cosines.tolist(), rows.tolist(), strict=True)
    ]


def _nearest_candidates(
    features: Tensor, text_features: Tensor, faiss: FaissIndex, *, top: int
) -> tuple[Tensor, Tensor]:
    """`nearest`, among what FAISS proposes for each text."""
    if (len(faiss), len(faiss.rotation)) != tuple(features.shape):
        raise ValueError(
            f"faiss must be of these features, {tuple(features.shape)}. It is of {len(faiss)} rows of width "
            f"{len(faiss.rotation)}. Make one with faiss_index."
        )
    found = []
    for text, rows in zip(
        text_features, faiss.candidates(text_features, count=max(CANDIDATES, 10 * top)), strict=True
    ):
        ordered = rows.sort().values  # of equal cosines the earlier row comes first
        cosines, places = nearest(text[None], [features[ordered]], top=top)
        found.append((cosines, ordered.to(places.device)[places]))
    cosines, rows = (torch.cat(parts) for parts in zip(*found, strict=True))
    return cosines, rows
