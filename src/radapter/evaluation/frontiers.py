"""OOD at fixed ID levels, and the hypervolume: two summaries of a method's alpha curve.

The curve is the method's path in the plane of (ID, OOD), straight between neighbouring alphas. The best OOD that it
offers at an ID of at least x is

    F(x) = max { ood : (id, ood) on the path, id >= x }

F is read at ID levels that are the same for every method of a table; a method may not reach all of them:

    level = zero-shot ID + fraction * (best ID - zero-shot ID),  fraction in 0.25, 0.5, 0.75, 0.9

The hypervolume is one number for the whole curve: the area between F and a reference point.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from radapter.errors import ConfigError

Point = tuple[float, float]
Path = Sequence[Point]
"""(ID, OOD) as fractions, by ascending alpha."""

FRACTIONS = (0.25, 0.5, 0.75, 0.9)
"""Shares of the best ID gain at which the levels lie."""
REFERENCE_OOD = 0.2
"""The hypervolume's reference point lies this far below zero-shot OOD."""
_SEED = 20240805  # of the resampling; any number, always the same
_CELLS = 10_000_000  # counts of resampled images held at a time


def id_levels(zero_shot: float, best: float) -> tuple[float, ...]:
    """Returns the ID levels between zero-shot and the best method, ascending; none if nothing was gained."""
    if best <= zero_shot:
        return ()
    return tuple(zero_shot + fraction * (best - zero_shot) for fraction in FRACTIONS)


def ood_at(path: Path, level: float) -> float | None:
    """F(level) of one path; None if it does not reach the level. Raises ConfigError if the path has no point."""
    if not path:
        raise ConfigError("a frontier needs at least one point. Got none. Sweep alpha first.")
    ids, oods = np.array(path, dtype=np.float64).T
    found = float(oods_at(ids[None], oods[None], level)[0])
    return None if np.isneginf(found) else found


def oods_at(ids: NDArray[np.float64], oods: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """F(level) of R paths of A points each, (R, A) by ascending alpha -> (R,); -inf for a path that does not reach
    the level, so that it sorts below every other value."""
    here, there = ids[:, :-1], ids[:, 1:]
    crosses = (np.minimum(here, there) < level) & (level < np.maximum(here, there))
    share = (level - here) / np.where(crosses, there - here, 1.0)
    between = np.where(crosses, oods[:, :-1] + (oods[:, 1:] - oods[:, :-1]) * share, -np.inf)
    reached = np.where(ids >= level, oods, -np.inf)
    best: NDArray[np.float64] = np.concatenate([reached, between], 1).max(1)
    return best


def hypervolume(path: Path, reference: Point) -> float:
    """The area that a path dominates beyond the reference point (ID, OOD), as a share of a perfect model's.

        integral of max(F(x) - reference OOD, 0) over x >= reference ID, / ((1 - reference ID) (1 - reference OOD))

    Source: Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms", PPSN 1998 (the size of
    the space covered), here of a path and not of its points alone. Raises ConfigError if the path has no point.
    """
    id_floor, ood_floor = reference
    ends = sorted({id_floor, *(id_ for id_ in _bends(path, ood_floor) if id_ > id_floor)})
    area = 0.0
    for low, high in pairwise(ends):  # F is linear between two bends, so its middle is its mean
        middle = ood_at(path, (low + high) / 2)
        area += 0.0 if middle is None else (high - low) * max(middle - ood_floor, 0.0)
    return area / ((1 - id_floor) * (1 - ood_floor))


def resampled_means(
    values: NDArray[np.float64], *, number: int, resamples: int = 1000
) -> NDArray[np.float64]:
    """The means of N images drawn with replacement, R times: the paired bootstrap, (N, K) -> (R, K). All columns and
    calls with the same N and `number` of the set get the same draws; other numbers are independent."""
    images = len(values)
    generator = np.random.default_rng((_SEED, number))
    block = max(1, _CELLS // images)
    means = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        counts = generator.multinomial(images, np.full(images, 1 / images), size=rows)
        means.append(counts @ values / images)
    return np.concatenate(means)


def percentile_interval(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The middle 95 % of (R,) resampled values; an end is None if it is -inf, a level not reached."""
    ends = np.quantile(values, [0.025, 0.975], method="inverted_cdf").tolist()
    low, high = (None if np.isneginf(end) else end for end in ends)
    return low, high


def _bends(path: Path, ood_floor: float) -> Iterator[float]:
    """IDs between which F is linear and on one side of the floor."""
    yield from (id_ for id_, _ in path)
    top = max((id_ for id_, _ in path), default=0.0)
    flat = [((0.0, ood), (top, ood)) for ood in {ood_floor, *(ood for _, ood in path)}]
    for one, other in combinations([*pairwise(path), *flat], 2):
        crossing = _crossing(one, other)
        if crossing is not None:
            yield crossing


def _crossing(one: tuple[Point, Point], other: tuple[Point, Point]) -> float | None:
    """The ID at which the lines through two segments cross; a spurious one only splits a linear piece."""
    (x1, y1), (x2, y2) = one
    (x3, y3), (x4, y4) = other
    turn = (x1 - x2) * (y3 - y4) - (y1 - y2) * (x3 - x4)
    if turn == 0:
        return None
    cross_one, cross_other = x1 * y2 - y1 * x2, x3 * y4 - y3 * x4
    id_ = (cross_one * (x3 - x4) - (x1 - x2) * cross_other) / turn
    return id_ if id_ <= max(x1, x2, x3, x4) else None
