"""Image-text retrieval: at which rank the right item stands, among all, in both directions.

Pure functions of features: no model, no device, no loader. Ranks are exact and are counted in tiles, so the
matrix of all images against all texts never exists; COCO's has 125 million entries. A wrong item with the right
one's score stands before it, so that a model that gives everything one score retrieves nothing.
Source: Recall@K as in Karpathy and Fei-Fei, CVPR 2015; their order of the COCO test images makes the 1K folds.
"""

from dataclasses import dataclass
from statistics import fmean, median
from typing import final

import torch
from torch import Tensor

from radapter.evaluation.cosines import (
    TILE,
    check_tile,
    check_unit_norm,
    cosines_of_pairs,
    count_at_least,
)
from radapter.evaluation.metrics import Metrics
from radapter.evaluation.positives import checked_positives

CUTOFFS = (1, 5, 10)
"""K of Recall@K."""


@final
@dataclass(frozen=True, eq=False)
class RetrievalRanks:
    """Where the right items stand; 1 is best.

    Attributes:
        text_to_image: (M,), int64: for each text the rank of its image among all N images, or of the best of
            several right ones, the others left out.
        image_to_text: (N,), int64: for each image the rank of its best caption among all M texts, its other right
            captions left out.
    """

    text_to_image: Tensor
    image_to_text: Tensor


def retrieval_ranks(
    image_features: Tensor, text_features: Tensor, image_of_text: Tensor, *, tile: int = TILE
) -> RetrievalRanks:
    """The rank of every text's image, and of every image's best caption.

        text_to_image_m = |{n : x_n . y_m >= x_i . y_m}|, i the image of text m
        image_to_text_n = 1 + |{m not of image n : x_n . y_m >= max over its own captions}|

    Args:
        image_features: x, unit norm, (N, E), float.
        text_features: y, unit norm, (M, E), float.
        image_of_text: (M,), int in [0, N). Images may have any number of captions, but one at least.
        tile: images, and texts, at a time; it changes memory and no rank.

    Returns:
        Ranks on the features' device. Scores are those of `cosines`: equal to the last bit wherever they stand.

    Raises:
        ValueError: shapes do not fit, rows are not of unit norm, an image of a text does not exist, or an image
            has no caption.
    """
    check_tile(tile)
    check_pairable(image_features, text_features)
    images, texts = len(image_features), len(text_features)
    image_of_text = _checked_images(image_of_text, images, texts).to(text_features.device)
    pairs = torch.stack((image_of_text, torch.arange(texts, device=text_features.device)), 1)
    return RetrievalRanks(
        text_to_image=_ranks_of_best(text_features, image_features, pairs.flip(1), tile=tile),
        image_to_text=_ranks_of_best(image_features, text_features, pairs, tile=tile),
    )


def retrieval_ranks_of_groups(
    image_features: Tensor, text_features: Tensor, positives: Tensor, *, tile: int = TILE
) -> RetrievalRanks:
    """The same where a text has several right images, as captions made of class names have.

        text_to_image_m = 1 + |{n wrong for m : x_n . y_m >= max over the images that are right for m}|
        image_to_text_n = 1 + |{m wrong for n : x_n . y_m >= max over the texts that are right for n}|

    Where every text has one right image, these are the ranks of `retrieval_ranks`.

    Args:
        image_features: x, unit norm, (N, E), float.
        text_features: y, unit norm, (M, E), float.
        positives: (P, 2), int: image, text; in any order, and a pair that stands twice counts once. See
            `positive_pairs`. Every image and every text must occur.
        tile: as in `retrieval_ranks`.

    Raises:
        ValueError: shapes do not fit, rows are not of unit norm, a pair names what does not exist, or an image or
            a text has no positive.
    """
    check_tile(tile)
    check_pairable(image_features, text_features)
    pairs = checked_positives(positives, len(image_features), len(text_features)).to(image_features.device)
    return RetrievalRanks(
        text_to_image=_ranks_of_best(text_features, image_features, pairs.flip(1), tile=tile),
        image_to_text=_ranks_of_best(image_features, text_features, pairs, tile=tile),
    )


def retrieval_metrics(ranks: RetrievalRanks) -> Metrics:
    """Recall at 1, 5 and 10 in both directions, their sum, and median and mean rank.

    Args:
        ranks: of `retrieval_ranks`.

    Returns:
        i2t_r1, i2t_r5, i2t_r10, t2i_r1, t2i_r5, t2i_r10 as fractions; rsum, their sum, at most 6 (papers print it
        times 100); i2t_median_rank, i2t_mean_rank, t2i_median_rank, t2i_mean_rank, of which 1 is best; n images
        and texts as ints.
    """
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
    """The mean of the metrics over folds of consecutive images, each with its own captions alone.

    With the 5,000 COCO test images in Karpathy's order and `folds=5` these are the COCO-1K figures.

    Args:
        image_features: unit norm, (N, E), float.
        text_features: unit norm, (M, E), float.
        image_of_text: (M,), int in [0, N).
        folds: a divisor of N.
        tile: as in `retrieval_ranks`.

    Returns:
        As `retrieval_metrics`; `n` and `texts` count all folds together.

    Raises:
        ValueError: `folds` does not divide N, or as `retrieval_ranks`.
    """
    images, texts = len(image_features), len(text_features)
    if folds < 1 or images % folds:
        raise ValueError(
            f"folds must divide the number of images, {images}. Got {folds}. COCO-1K is 5 folds of 5,000 images."
        )
    image_of_text = _checked_images(image_of_text, images, texts)
    size = images // folds
    found = []
    for start in range(0, images, size):
        texts_here = (image_of_text >= start) & (image_of_text < start + size)
        ranks = retrieval_ranks(
            image_features[start : start + size],
            text_features[texts_here.to(text_features.device)],
            image_of_text[texts_here] - start,
            tile=tile,
        )
        found.append(retrieval_metrics(ranks))
    means = {name: fmean(metrics[name] for metrics in found) for name in found[0]}
    return means | {"n": images, "texts": texts}


def check_pairable(image_features: Tensor, text_features: Tensor) -> None:
    """Raises where the two are not unit-norm matrices of one width on one device.

    Raises:
        ValueError: which, and what they must be.
    """
    check_unit_norm("image_features", image_features)
    check_unit_norm("text_features", text_features)
    if image_features.shape[1] != text_features.shape[1] or image_features.device != text_features.device:
        raise ValueError(
            "image_features and text_features must be of one width E and on one device. Got "
            f"{tuple(image_features.shape)} on {image_features.device} and {tuple(text_features.shape)} on "
            f"{text_features.device}."
        )


def _ranks_of_best(queries: Tensor, items: Tensor, pairs: Tensor, *, tile: int) -> Tensor:
    """One direction; pairs (P, 2) of query and item, none twice, each query at least once. (Q,), int64."""
    scores = cosines_of_pairs(queries, items, pairs, tile=tile)
    query = pairs[:, 0]
    best = scores.new_full((len(queries),), -torch.inf).scatter_reduce(0, query, scores, "amax")
    as_good = torch.bincount(query[scores == best[query]], minlength=len(queries))
    every_query = torch.arange(len(queries), device=queries.device)
    return count_at_least(queries, items, every_query, best, tile=tile) - as_good + 1


def _checked_images(image_of_text: Tensor, images: int, texts: int) -> Tensor:
    if image_of_text.shape != (texts,) or image_of_text.is_floating_point():
        raise ValueError(
            f"image_of_text must be int, (M,) = ({texts},). "
            f"Got {image_of_text.dtype}, {tuple(image_of_text.shape)}."
        )
    image_of_text = image_of_text.long()
    outside = (image_of_text < 0) | (image_of_text >= images)
    if outside.any():
        row = int(outside.nonzero()[0])
        raise ValueError(
            f"image_of_text must be in [0, {images}). {int(outside.sum())} are not, the first is text {row} "
            f"with {int(image_of_text[row])}."
        )
    bare = (torch.bincount(image_of_text, minlength=images) == 0).nonzero()[:, 0]
    if len(bare):
        raise ValueError(
            f"every image must have a caption. {len(bare)} of {images} have none, the first is image "
            f"{int(bare[0])}. Leave them out."
        )
    return image_of_text
