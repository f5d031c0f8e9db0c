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
    pairs = _checked_pairs(positives, len(image_features), len(text_features)).to(image_features.device)
    return {
        "i2t_map_at_r": _map_at_r(image_features, text_features, pairs, tile=tile),
        "t2i_map_at_r": _map_at_r(text_features, image_features, pairs.flip(1), tile=tile),
    }


def positive_pairs(image_targets: Tensor, text_targets: Tensor) -> Tensor:
    """Every image with every text of the same target.

    Args:
        image_targets: (N,), int.
        text_targets: (M,), int.

    Returns:
        (P, 2), int64: image, text; sorted. P is the sum over images of their texts, which for a few large classes
        is no longer small.
    """
    by_target = text_targets.argsort(stable=True)
    ordered = text_targets[by_target].contiguous()
    first = torch.searchsorted(ordered, image_targets.contiguous())
    sizes = torch.searchsorted(ordered, image_targets.contiguous(), right=True) - first
    images = torch.arange(len(image_targets), device=sizes.device).repeat_interleave(sizes)
    place = torch.arange(len(images), device=sizes.device) - (sizes.cumsum(0) - sizes)[images]
    return torch.stack((images, by_target[first[images] + place]), 1)


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


def _checked_pairs(positives: Tensor, images: int, texts: int) -> Tensor:
    if positives.ndim != 2 or positives.shape[1] != 2 or positives.is_floating_point():
        raise ValueError(
            f"positives must be int, (P, 2), image and text. Got {positives.dtype}, {tuple(positives.shape)}."
        )
    pairs: Tensor = torch.unique(positives.long(), dim=0)
    for column, (name, size) in enumerate((("image", images), ("text", texts))):
        found = pairs[:, column]
        if ((found < 0) | (found >= size)).any():
            raise ValueError(
                f"positives must name {name}s in [0, {size}). Got {found.min()} to {found.max()}."
            )
        bare = (torch.bincount(found, minlength=size) == 0).nonzero()[:, 0]
        if len(bare):
            raise ValueError(
                f"every {name} must have a positive. {len(bare)} of {size} have none, the first is {name} "
                f"{int(bare[0])}. Leave them out."
            )
    return pairs
