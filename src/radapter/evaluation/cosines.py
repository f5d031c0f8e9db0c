"""Cosines that are the same to the last bit, whatever tile, kernel or device computes them.

A rank counts the scores that reach another score, so one score must not have two values. In a matrix product the
order of the sum over E depends on the shape, and the last bit with it. This file rounds features to multiples of
2^-26 and multiplies in float64. Each product and each partial sum is then a multiple of 2^-52 below 2, which float64
holds exactly, in every order. Rounding changes a cosine by at most 2^-26 sqrt(E), in practice by about 2^-27, below
float32's step at 1, 2^-24.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

TILE = 1024
"""Rows and columns of a tile of scores: 8 MB in float64."""

_GRID = 2.0**26
_NORM_TOLERANCE = 0.01  # the sums stay below 2, where float64's step is 2^-52; bfloat16's unit vectors pass


def check_unit_norm(name: str, features: Tensor) -> None:
    """Raises ValueError unless `features` is a float matrix (N, E) whose rows have norm 1 to within 1 %."""
    if features.ndim != 2 or 0 in features.shape or not features.is_floating_point():
        raise ValueError(
            f"{name} must be float, (N, E) with N and E at least 1. "
            f"Got {features.dtype}, {tuple(features.shape)}."
        )
    wide = torch.promote_types(features.dtype, torch.float32)
    norms = torch.linalg.vector_norm(features, dim=1, dtype=wide)
    wrong = ~((norms - 1).abs() <= _NORM_TOLERANCE)  # NaN is wrong too
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"{name} must have rows of unit norm. {int(wrong.sum())} of {len(features)} have another, the first "
            f"is row {row} with {float(norms[row]):.4g}. Use torch.nn.functional.normalize(features, dim=-1)."
        )


def in_tiles(rows: Tensor, tile: int) -> Iterator[Tensor]:
    """Views of `tile` rows each; the last may be shorter."""
    return (rows[start : start + tile] for start in range(0, len(rows), tile))


def on_grid(features: Tensor) -> Tensor:
    """Rounds features (N, E) to multiples of 2^-26, half to even, as float64; products of unit rows are exact."""
    wide = features.detach().to(torch.promote_types(features.dtype, torch.float32))
    return wide.mul(_GRID).round_().mul_(1 / _GRID).double()


def cosines_of_pairs(queries: Tensor, items: Tensor, pairs: Tensor, *, tile: int = TILE) -> Tensor:
    """The cosines of P pairs (row of `queries`, row of `items`), (P,), float64; queries and items have unit norm."""
    parts = [
        (on_grid(queries[chunk[:, 0]]) * on_grid(items[chunk[:, 1]])).sum(1)
        for chunk in in_tiles(pairs, tile)
    ]
    return torch.cat(parts)


def count_at_least(
    queries: Tensor, items: Tensor, query_of: Tensor, bounds: Tensor, *, tile: int = TILE
) -> Tensor:
    """count_p = |{k : queries[query_of[p]] . items[k] >= bounds[p]}|, (P,), int64.

    Queries and items have unit norm; `query_of`, (P,), is int64, `bounds`, (P,), float64.
    """
    counts = torch.zeros_like(query_of)
    for start in range(0, len(query_of), tile):
        asked = slice(start, start + tile)
        distinct, place = torch.unique(query_of[asked], return_inverse=True)
        rows = on_grid(queries[distinct])
        for chunk in in_tiles(items, tile):
            scores = rows @ on_grid(chunk).T
            counts[asked] += (scores[place] >= bounds[asked, None]).sum(1, dtype=torch.int32)
    return counts


def nearest(queries: Tensor, items: Iterable[Tensor], *, top: int) -> tuple[Tensor, Tensor]:
    """Finds the items with the largest cosines, best first; of equal ones the earlier item is first.

    Items have unit norm (unchecked) and come in parts of (k, E), such as `in_tiles` or slices of a file. Returns
    cosines (Q, top), float64, and row numbers (Q, top), int64; fewer columns if there are fewer items. Raises
    ValueError if `top` is below 1, or queries (Q, E) are not of unit norm.
    """
    if top < 1:
        raise ValueError(f"top must be >= 1. Got {top}.")
    check_unit_norm("queries", queries)
    wanted = on_grid(queries)
    scores = wanted.new_empty(len(queries), 0)
    rows = torch.empty_like(scores, dtype=torch.int64)
    seen = 0
    for part in items:
        here = wanted @ on_grid(part.to(queries.device)).T
        # topk breaks ties arbitrarily: take all that reach the part's last, in their order, and sort stably
        bound = here.topk(min(top, len(part)), dim=1, sorted=False).values.amin(1, keepdim=True)
        if scores.shape[1] == top:
            bound = bound.maximum(scores[:, -1:])
        entering = int((here >= bound).sum(1).max())
        chosen = here.topk(entering, dim=1, sorted=False).indices.sort(dim=1).values
        merged = torch.cat((scores, here.gather(1, chosen)), 1)
        scores, order = merged.sort(dim=1, descending=True, stable=True)
        rows = torch.cat((rows, chosen + seen), 1).gather(1, order)
        scores, rows = scores[:, :top], rows[:, :top]
        seen += len(part)
    return scores, rows
