"""mAP@R: retrieval where a query has several right answers, all of which should come first.

Recall@K is content with one of them; on captions that fit more than one image it is nearly as high for a model that
finds one as for a model that finds all.
Source: Musgrave, Belongie and Lim, "A metric learning reality check", ECCV 2020; for image-text retrieval Chun et
al., "ECCV Caption", ECCV 2022.
"""

import torch
from torch import Tensor

from radapter.evaluation.cosines import TILE, check_tile, cosines_of_pairs, count_at_least
from radapter.evaluation.metrics import Metrics
from radapter.evaluation.positives import checked_positives
from radapter.evaluation.retrieval import check_pairable


def retrieval_map_at_r(
    image_features: Tensor, text_features: Tensor, positives: Tensor, *, tile: int = TILE
) -> Metrics:
    """Mean average precision over the first R, R being the query's number of positives; both directions.

        MAP@R = 1/R sum_{k = 1..R} (precision at k if the k-th item is a positive, else 0), mean over queries

    A wrong item stands before a positive of the same score.

    Args:
        image_features: unit norm, (N, E), float.
        text_features: unit norm, (M, E), float.
        positives: (P, 2), int: image, text; in any order, and a pair that stands twice counts once. See
            `positive_pairs`. Every image and every text must occur.
        tile: positives, and items, at a time; it changes memory and no value.

    Returns:
        i2t_map_at_r, t2i_map_at_r in [0, 1].

    Raises:
        ValueError: shapes do not fit, rows are not of unit norm, a pair names what does not exist, or an image or
            a text has no positive.
    """
    check_tile(tile)
    check_pairable(image_features, text_features)
    pairs = checked_positives(positives, len(image_features), len(text_features)).to(image_features.device)
    return {
        "i2t_map_at_r": _map_at_r(image_features, text_features, pairs, tile=tile),
        "t2i_map_at_r": _map_at_r(text_features, image_features, pairs.flip(1), tile=tile),
    }


def _map_at_r(queries: Tensor, items: Tensor, pairs: Tensor, *, tile: int) -> float:
    """One direction; pairs (P, 2) of query and item, each query at least once."""
    scores = cosines_of_pairs(queries, items, pairs, tile=tile)
    order = scores.argsort(descending=True, stable=True)
    order = order[pairs[order, 0].argsort(stable=True)]  # by query, and within one the best first
    query, scores = pairs[order, 0], scores[order]
    relevant = torch.bincount(query, minlength=len(queries))  # R
    start = (relevant.cumsum(0) - relevant)[query]
    place = torch.arange(1, len(query) + 1, device=query.device) - start  # among the query's positives
    _, group, sizes = torch.unique_consecutive(
        torch.stack((query.double(), scores), 1), return_inverse=True, return_counts=True, dim=0
    )
    right = sizes.cumsum(0)[group] - start  # positives that reach this score
    wrong = count_at_least(queries, items, query, scores, tile=tile) - right
    rank = place + wrong
    precision = torch.where(rank <= relevant[query], place / rank.double(), 0)
    return float((precision / relevant[query]).sum() / len(queries))
