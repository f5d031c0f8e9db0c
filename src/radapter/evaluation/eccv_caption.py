"""ECCV Caption: COCO's test set with the positives that its captions left out.

Source: Chun et al., "ECCV Caption: correcting false negatives by collecting machine-and-human-verified image-caption
associations for MS-COCO", ECCV 2022. The authors' package `eccv_caption` holds the associations and computes the
metrics from ranked lists of COCO ids, which this file makes.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from radapter.errors import DataError, MissingExtraError
from radapter.evaluation.cosines import TILE, in_tiles, nearest
from radapter.evaluation.metrics import Metrics
from radapter.evaluation.retrieval import check_pairable

_METRICS = ("eccv_map_at_r", "eccv_rprecision", "eccv_r1", "cxc_recalls", "coco_5k_recalls")
_TOP = 50  # the most positives that one query has is 48


def eccv_caption_metrics(
    image_features: Tensor,
    text_features: Tensor,
    image_ids: Sequence[int],
    caption_ids: Sequence[int],
    *,
    tile: int = TILE,
) -> Metrics:
    """Computes the metrics of ECCV Caption, CxC and COCO 5K in both directions: i2t_eccv_map_at_r and so on.

    Features are of unit norm, (N, E) and (M, E): the 5,000 images of Karpathy's COCO test split and their 25,000
    captions, with N COCO image ids and M COCO annotation ids.

    Raises MissingExtraError if `eccv_caption` is not installed, DataError if images or captions of the split are
    missing, and ValueError if rows are not of unit norm or ids do not fit the features.
    """
    check_pairable(image_features, text_features, tile)
    metrics = _package().Metrics()
    for name, ids, known in (
        ("image_ids", image_ids, metrics.coco_gts["i2t"]),
        ("caption_ids", caption_ids, metrics.coco_gts["t2i"]),
    ):
        missing = known.keys() - set(ids)
        if missing:
            raise DataError(
                f"{name} must hold the {len(known)} ids of Karpathy's COCO test split. {len(missing)} are missing, "
                f"such as {min(missing)}. Encode the whole split."
            )
    return judged(
        metrics,
        ranked_ids(image_features, text_features, image_ids, caption_ids, top=_TOP, tile=tile),
        ranked_ids(text_features, image_features, caption_ids, image_ids, top=_TOP, tile=tile),
    )


def judged(metrics: Any, i2t: Mapping[int, list[int]], t2i: Mapping[int, list[int]]) -> Metrics:
    """Scores ranked ids with an `eccv_caption.Metrics`; a metric's name starts with its direction."""
    scores = metrics.compute_all_metrics(i2t, t2i, target_metrics=_METRICS)
    return {
        f"{direction}_{name}": float(value)
        for name, of_direction in scores.items()
        for direction, value in of_direction.items()
    }


def ranked_ids(
    queries: Tensor,
    items: Tensor,
    query_ids: Sequence[int],
    item_ids: Sequence[int],
    *,
    top: int,
    tile: int = TILE,
) -> dict[int, list[int]]:
    """Lists, for each query, the ids of its `top` nearest items, best first. Raises ValueError if there is not one
    id per row, or a query's id occurs twice."""
    if len(query_ids) != len(queries) or len(item_ids) != len(items):
        raise ValueError(
            f"there must be one id per row. Got {len(query_ids)} for {len(queries)} queries and {len(item_ids)} "
            f"for {len(items)} items."
        )
    if len(set(query_ids)) < len(query_ids):
        raise ValueError(f"query_ids must differ. {len(query_ids) - len(set(query_ids))} occur twice.")
    found: dict[int, list[int]] = {}
    for start in range(0, len(queries), tile):
        _, rows = nearest(queries[start : start + tile], in_tiles(items, tile), top=top)
        for query, of_query in zip(query_ids[start : start + tile], rows.tolist(), strict=True):
            found[int(query)] = [int(item_ids[row]) for row in of_query]
    return found


def _package() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about JSON without ujson
            import eccv_caption
    except ImportError as error:
        raise MissingExtraError(
            "ECCV Caption's metrics need eccv_caption, which is not installed. Run pip install "
            "'radapter[eccv-caption]'."
        ) from error
    return eccv_caption
