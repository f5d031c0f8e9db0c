"""Image-text retrieval: the rank of the right item among all, Recall@K and mAP@R, in both directions.

Pure functions of features. Ranks are exact and are counted in tiles, so the matrix of all images against all texts
never exists; COCO's has 125 million entries. A wrong item with the right one's score ranks before it, so that a
model that gives everything one score retrieves nothing.

Source: Recall@K as in Karpathy and Fei-Fei, CVPR 2015; their order of the COCO test images makes the 1K folds.
mAP@R: Musgrave, Belongie and Lim, "A metric learning reality check", ECCV 2020; for image-text retrieval Chun et
al., "ECCV Caption", ECCV 2022.

Arguments that all functions share:
    image_features  x, unit norm, (N, E), float.
    text_features   y, unit norm, (M, E), float.
    image_of_text   (M,), int in [0, N). Every image has at least one caption.
    positives       (P, 2), int: image, text, in any order, as `positive_pairs` gives them. Every image and every
                    text must occur; repeated pairs count once.
    tile            Images, and texts, at a time; it changes memory and no result.
They raise ValueError if shapes do not fit, rows are not of unit norm, a number is out of range, or an image or a
text has no positive.
"""

from dataclasses import dataclass
from statistics import fmean, median
from typing import final

import torch
from torch import Tensor

from radapter.evaluation.cosines import TILE, check_unit_norm, cosines_of_pairs, count_at_least
from radapter.evaluation.metrics import Metrics

CUTOFFS = (1, 5, 10)
"""K of Recall@K."""


@final
@dataclass(frozen=True, eq=False)
class RetrievalRanks:
    """Ranks of each text's image among all images, (M,), and of each image's caption among all texts, (N,), int64.

    1 is best. If several items are right, the best counts and the others are left out.
    """

    text_to_image: Tensor
    image_to_text: Tensor


def retrieval_ranks(
    image_features: Tensor, text_features: Tensor, image_of_text: Tensor, *, tile: int = TILE
) -> RetrievalRanks:
    """Ranks every text's image, and every image's best caption, on the features' device.

        text_to_image_m = |{n : x_n . y_m >= x_i . y_m}|, i the image of text m
        image_to_text_n = 1 + |{m not of image n : x_n . y_m >= max over its own captions}|
    Scores are those of `cosines`: equal to the last bit in every tile.
    """
    check_pairable(image_features, text_features, tile)
    image_of_text = _checked_images(image_of_text, len(image_features), len(text_features))
    pairs = torch.stack((image_of_text, torch.arange(len(image_of_text), device=image_of_text.device)), 1)
    return retrieval_ranks_of_groups(image_features, text_features, pairs, tile=tile)


def retrieval_ranks_of_groups(
    image_features: Tensor, text_features: Tensor, positives: Tensor, *, tile: int = TILE
) -> RetrievalRanks:
    """Ranks where a text has several right images, as captions made of class names have.

        text_to_image_m = 1 + |{n wrong for m : x_n . y_m >= max over the images that are right for m}|
        image_to_text_n = 1 + |{m wrong for n : x_n . y_m >= max over the texts that are right for n}|
    If every text has one right image, these are the ranks of `retrieval_ranks`.
    """
    pairs = _checked_positives(image_features, text_features, positives, tile)
    return RetrievalRanks(
        text_to_image=_ranks_of_best(text_features, image_features, pairs.flip(1), tile=tile),
        image_to_text=_ranks_of_best(image_features, text_features, pairs, tile=tile),
    )


def retrieval_metrics(ranks: RetrievalRanks) -> Metrics:
    """Computes recalls at 1, 5 and 10 in both directions (i2t_r1 ... t2i_r10, fractions), their sum rsum (at most
    6; papers print it times 100), median and mean ranks (i2t_median_rank ...), and the numbers n of images and
    texts."""
    directions = {"i2t": ranks.image_to_text.tolist(), "t2i": ranks.text_to_image.tolist()}
    recalls = {
        f"{name}_r{k}": fmean(rank <= k for rank in found)
        for name, found in directions.items()
        for k in CUTOFFS
    }
    middles = {
        f"{name}_{word}_rank": float(mean(found))
        for name, found in directions.items()
        for word, mean in (("median", median), ("mean", fmean))
    }
    sizes = {"n": len(ranks.image_to_text), "texts": len(ranks.text_to_image)}
    return {**recalls, "rsum": sum(recalls.values()), **middles, **sizes}


def retrieval_metrics_over_folds(
    image_features: Tensor, text_features: Tensor, image_of_text: Tensor, *, folds: int = 5, tile: int = TILE
) -> Metrics:
    """Averages `retrieval_metrics` over folds of consecutive images, each with its own captions alone; `n` and
    `texts` count all. With the 5,000 COCO test images in Karpathy's order and `folds=5` this is COCO-1K."""
    images, texts = len(image_features), len(text_features)
    if folds < 1 or images % folds:
        raise ValueError(
            f"folds must divide the number of images, {images}. Got {folds}. COCO-1K is 5 folds of 5,000 images."
        )
    image_of_text = _checked_images(image_of_text, images, texts)
    size = images // folds
    found = []
    for fold, fold_features in enumerate(torch.split(image_features, size)):
        here = image_of_text // size == fold
        own_texts, own_images = (
            text_features[here.to(text_features.device)],
            image_of_text[here] - fold * size,
        )
        found.append(retrieval_metrics(retrieval_ranks(fold_features, own_texts, own_images, tile=tile)))
    means = {name: fmean(metrics[name] for metrics in found) for name in found[0]}
    return means | {"n": images, "texts": texts}


def retrieval_map_at_r(
    image_features: Tensor, text_features: Tensor, positives: Tensor, *, tile: int = TILE
) -> Metrics:
    """Mean average precision over the first R, the query's number of positives: i2t_map_at_r and t2i_map_at_r.

    MAP@R = 1/R sum_{k = 1..R} (precision at k if the k-th item is a positive, else 0), mean over queries
    """
    pairs = _checked_positives(image_features, text_features, positives, tile)
    return {
        "i2t_map_at_r": _map_at_r(image_features, text_features, pairs, tile=tile),
        "t2i_map_at_r": _map_at_r(text_features, image_features, pairs.flip(1), tile=tile),
    }


def positive_pairs(image_targets: Tensor, text_targets: Tensor) -> Tensor:
    """Pairs every image with every text of the same target: (N,), (M,), int -> (P, 2), int64: image, text; sorted.

    P is the sum over images of their texts, which is large for a few large classes.
    """
    by_target = text_targets.argsort(stable=True)
    ordered = text_targets[by_target].contiguous()
    first = torch.searchsorted(ordered, image_targets.contiguous())
    sizes = torch.searchsorted(ordered, image_targets.contiguous(), right=True) - first
    images = torch.arange(len(image_targets), device=sizes.device).repeat_interleave(sizes)
    place = torch.arange(len(images), device=sizes.device) - (sizes.cumsum(0) - sizes)[images]
    return torch.stack((images, by_target[first[images] + place]), 1)


def check_pairable(image_features: Tensor, text_features: Tensor, tile: int) -> None:
    """Raises ValueError unless `tile` is at least 1 and both matrices have unit rows, one width and one device."""
    if tile < 1:
        raise ValueError(f"tile must be >= 1. Got {tile}. The default is {TILE}.")
    check_unit_norm("image_features", image_features)
    check_unit_norm("text_features", text_features)
    if image_features.shape[1] != text_features.shape[1] or image_features.device != text_features.device:
        raise ValueError(
            "image_features and text_features must be of one width E and on one device. Got "
            f"{tuple(image_features.shape)} on {image_features.device} and {tuple(text_features.shape)} on "
            f"{text_features.device}."
        )


def _ranks_of_best(queries: Tensor, items: Tensor, pairs: Tensor, *, tile: int) -> Tensor:
    scores = cosines_of_pairs(queries, items, pairs, tile=tile)
    query = pairs[:, 0]
    best = scores.new_full((len(queries),), -torch.inf).scatter_reduce(0, query, scores, "amax")
    as_good = torch.bincount(query[scores == best[query]], minlength=len(queries))
    every_query = torch.arange(len(queries), device=queries.device)
    return count_at_least(queries, items, every_query, best, tile=tile) - as_good + 1


def _map_at_r(queries: Tensor, items: Tensor, pairs: Tensor, *, tile: int) -> float:
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


def _checked_images(image_of_text: Tensor, images: int, texts: int) -> Tensor:
    if image_of_text.shape != (texts,) or image_of_text.is_floating_point():
        raise ValueError(
            f"image_of_text must be int, (M,) = ({texts},). "
            f"Got {image_of_text.dtype}, {tuple(image_of_text.shape)}."
        )
    image_of_text = image_of_text.long()
    outside = ((image_of_text < 0) | (image_of_text >= images)).nonzero()[:, 0]
    if len(outside):
        raise ValueError(
            f"image_of_text must be in [0, {images}). {len(outside)} are not, the first is text {int(outside[0])} "
            f"with {int(image_of_text[outside[0]])}."
        )
    _check_all_occur(image_of_text, images, "image", "caption")
    return image_of_text


def _checked_positives(image_features: Tensor, text_features: Tensor, positives: Tensor, tile: int) -> Tensor:
    check_pairable(image_features, text_features, tile)
    if positives.ndim != 2 or positives.shape[1] != 2 or positives.is_floating_point():
        raise ValueError(
            f"positives must be int, (P, 2), image and text. Got {positives.dtype}, {tuple(positives.shape)}."
        )
    pairs: Tensor = torch.unique(positives.long(), dim=0)
    for found, name, features in zip(
        pairs.T, ("image", "text"), (image_features, text_features), strict=True
    ):
        size = len(features)
        if ((found < 0) | (found >= size)).any():
            raise ValueError(
                f"positives must name {name}s in [0, {size}). Got {found.min()} to {found.max()}."
            )
        _check_all_occur(found, size, name, "positive")
    return pairs.to(image_features.device)


def _check_all_occur(found: Tensor, size: int, name: str, partner: str) -> None:
    bare = (torch.bincount(found, minlength=size) == 0).nonzero()[:, 0]
    if len(bare):
        raise ValueError(
            f"every {name} must have a {partner}. {len(bare)} of {size} have none, the first is {name} "
            f"{int(bare[0])}. Leave them out."
        )
