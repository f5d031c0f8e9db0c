"""OOD at fixed ID levels: the methods of a comparison, read from their alpha curves at the same ID.

The levels are absolute ID figures, computed once for each table from means over seeds: zero-shot plus 25, 50, 75 and
90 % of the best gain among `SETS_LEVELS`. A further row therefore does not move them. A method at a fixed alpha
(`full`) is one point; the others are curves, since every point of theirs can be had by choosing alpha.

The intervals are a paired bootstrap over test images: the images of each ID test and OOD set are drawn with
replacement, the same draws for every method, alpha and seed, and the curves are read again at the same levels. Seeds
that share their test images need the same draws; where each seed has images of its own, the draws of one seed say
nothing about another, so that sharing them does no harm.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Final

import numpy as np
from numpy.typing import NDArray

from radapter.evaluation import HEADLINES, Headline, TaskName
from radapter.evaluation.frontiers import (
    FRACTIONS,
    REFERENCE_OOD,
    Path,
    hypervolume,
    id_levels,
    ood_at,
    oods_at,
    percentile_interval,
    resampled_means,
)
from radapter.methods import TABLES, find_method
from radapter.runs.levels import Figure, Interval, Levels, OfMethod
from radapter.runs.results import Results, SweepRow

SETS_LEVELS: Final = (
    *("full", "full-both-towers", "full-image-tower"),
    *("wise-ft", "flyp", "lora", "r-adapter"),
)
"""The levels come from the best of these; from all methods where none of them is compared."""
_REFERENCES = ("wise-ft", "r-adapter")
RESAMPLES = 1000
_REACHED = 0.95  # of the resamples, for an interval of a difference

PseudoValues = Mapping[str, NDArray[np.float32]]
"""Of one training: "ALPHA/ROLE/NAME", such as "0.3/ood/sketch" -> (N,), one figure for each image; their mean is the
score."""


def sets_levels(task: TaskName) -> tuple[str, ...]:
    """Returns the methods of a task that `SETS_LEVELS` names."""
    return tuple(name for name in SETS_LEVELS if name in TABLES[task])


def levels_over_seeds(
    results: Sequence[Results],
    pseudo_values: Sequence[Mapping[str, PseudoValues]] | None = None,
    *,
    resamples: int = RESAMPLES,
) -> Levels | None:
    """Reads every trained method at the levels of the comparison.

    Args:
        results: Of the same comparison, one for each seed.
        pseudo_values: For each seed, those of each method; None leaves the intervals out.
        resamples: Of the bootstrap.

    Returns:
        None without OOD sets, or where nothing was trained.
    """
    names = [row.method for row in results[0].rows if row.method != "zero-shot"]
    if not names or any(row.ood_mean is None for one in results for row in one.rows):
        return None
    points = {name: [_points(one, name) for one in results] for name in names}
    paths = {name: [_path(of_seed) for of_seed in seeds] for name, seeds in points.items()}
    mean_paths = {name: _mean_path(of_seeds) for name, of_seeds in points.items()}
    highest = {name: max(id_ for id_, _ in path) for name, path in mean_paths.items()}
    setting = [name for name in names if name in SETS_LEVELS] or names
    best = max(setting, key=lambda name: highest[name])
    starts = [(row.id_mean, row.ood_mean or 0.0) for row in (one.row("zero-shot") for one in results)]
    references = [(id_, ood - REFERENCE_OOD) for id_, ood in starts]
    zero_shot_id = fmean(id_ for id_, _ in starts)
    levels = id_levels(zero_shot_id, highest[best])
    against = next((name for name in _REFERENCES if name in names), None)
    drawn = (
        None
        if pseudo_values is None
        else _resampled(
            points, pseudo_values, levels, headline=HEADLINES[results[0].task], resamples=resamples
        )
    )

    def of_level(name: str, number: int) -> Figure:
        return _figure(
            [ood_at(path, levels[number]) for path in paths[name]],
            reached=ood_at(mean_paths[name], levels[number]) is not None,
            drawn=None if drawn is None else drawn[name][number],
        )

    def difference(name: str, number: int) -> Figure:
        assert against is not None
        return _difference(
            oods[name][number],
            oods[against][number],
            None if drawn is None else (drawn[name][number], drawn[against][number]),
        )

    numbers = range(len(levels))
    oods = {name: [of_level(name, number) for number in numbers] for name in names}
    found = {
        name: OfMethod(
            ood=oods[name],
            difference=None if against in (None, name) else [difference(name, number) for number in numbers],
            hypervolume=_figure([hypervolume(*pair) for pair in zip(paths[name], references, strict=True)]),
        )
        for name in names
    }
    return Levels(
        fractions=list(FRACTIONS),
        id=list(levels),
        zero_shot_id=zero_shot_id,
        best=best,
        best_id=highest[best],
        reference=(zero_shot_id, fmean(ood for _, ood in references)),
        resamples=None if drawn is None else resamples,
        against=against,
        methods=found,
    )


def _points(results: Results, method: str) -> list[SweepRow]:
    """The points that a method offers, by ascending alpha: one where its alpha is fixed."""
    row = results.row(method)
    fixed = find_method(method, results.task).alpha != "auto"
    swept = [
        point for point in results.sweep if point.method == method and (not fixed or point.alpha == row.alpha)
    ]
    return sorted(swept, key=lambda point: point.alpha)


def _path(points: Sequence[SweepRow]) -> Path:
    return [(point.id_mean, point.ood_mean or 0.0) for point in points]


def _mean_path(points: Sequence[Sequence[SweepRow]]) -> Path:
    """Means over seeds at the alphas of all seeds: `evaluation.alphas: chosen` may differ between them."""
    by_alpha = [{point.alpha: point for point in of_seed} for of_seed in points]
    common = [alpha for alpha in by_alpha[0] if all(alpha in of_seed for of_seed in by_alpha)]
    each = [_path([of_seed[alpha] for alpha in common]) for of_seed in by_alpha]
    return [(fmean(id_ for id_, _ in at), fmean(ood for _, ood in at)) for at in zip(*each, strict=True)]


def _figure(
    each: Sequence[float | None], *, reached: bool = True, drawn: NDArray[np.float64] | None = None
) -> Figure:
    """Mean, spread and interval over the seeds that have a figure.

    Args:
        each: Of each seed.
        reached: Whether the mean curve reaches the level.
        drawn: (seeds, R), of resampled images; -inf where a level is not reached.
    """
    known = [value for value in each if value is not None]
    if not (reached and known):
        return Figure(each=list(each), mean=None)
    interval = None
    if drawn is not None:
        low, high = percentile_interval(_over(each, drawn))
        interval = Interval(low=low, high=high)
    std = stdev(known) if len(known) > 1 else None
    return Figure(each=list(each), mean=fmean(known), std=std, interval=interval)


def _difference(
    mine: Figure, theirs: Figure, drawn: tuple[NDArray[np.float64], NDArray[np.float64]] | None
) -> Figure:
    """Mine minus theirs, over the seeds that reach the level with both.

    The interval is over the resamples in which both are reached, and left out where one in twenty is not: a
    difference from what is not reached has no size.
    """
    each = [None if a is None or b is None else a - b for a, b in zip(mine.each, theirs.each, strict=True)]
    found = _figure(each, reached=mine.mean is not None and theirs.mean is not None)
    if drawn is None or found.mean is None:
        return found
    pair = [_over(each, of) for of in drawn]
    both = np.isfinite(pair[0]) & np.isfinite(pair[1])
    if both.mean() < _REACHED:
        return found
    low, high = percentile_interval(pair[0][both] - pair[1][both])
    return found.model_copy(update={"interval": Interval(low=low, high=high)})


def _over(each: Sequence[float | None], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,), the mean over the seeds that have a figure."""
    known = [of_seed for of_seed, value in zip(drawn, each, strict=True) if value is not None]
    mean: NDArray[np.float64] = np.mean(known, axis=0)
    return mean


def _resampled(
    points: Mapping[str, Sequence[Sequence[SweepRow]]],
    pseudo_values: Sequence[Mapping[str, PseudoValues]],
    levels: Sequence[float],
    *,
    headline: Headline,
    resamples: int,
) -> dict[str, list[NDArray[np.float64]]]:
    """Method -> level -> (seeds, R), OOD of the resampled curves; -inf where a level is not reached."""
    found: dict[str, list[list[NDArray[np.float64]]]] = {name: [[] for _ in levels] for name in points}
    for seed, of_seed in enumerate(pseudo_values):
        curves = _curves({name: seeds[seed] for name, seeds in points.items()}, of_seed, headline, resamples)
        for name, (ids, oods) in curves.items():
            for number, level in enumerate(levels):
                found[name][number].append(oods_at(ids, oods, level))
    return {name: [np.stack(of_level) for of_level in of] for name, of in found.items()}


def _curves(
    points: Mapping[str, Sequence[SweepRow]],
    values: Mapping[str, PseudoValues],
    headline: Headline,
    resamples: int,
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Method -> resampled (IDs, OODs) of one seed, each (R, A)."""
    first = next(iter(points.values()))[0]
    columns = [(name, point) for name, of in points.items() for point in of]
    sets = [("id", name) for name in first.id] + [("ood", name) for name in first.ood]
    means: dict[str, list[NDArray[np.float64]]] = {"id": [], "ood": []}
    for number, (role, name) in enumerate(sets):
        of_images = np.stack(
            [values[of][f"{at.alpha:g}/{role}/{name}"] for of, at in columns], 1, dtype=np.float64
        )
        scores = np.array([headline.score(getattr(at, role)[name]) for _, at in columns])
        # A jackknife's mean may differ a little from the score: only the deviation from it is taken.
        resampled = resampled_means(of_images, number=number, resamples=resamples)
        means[role].append(resampled - of_images.mean(0) + scores)
    ids, oods = (np.mean(means[role], axis=0) for role in ("id", "ood"))
    owners = np.array([name for name, _ in columns])
    return {name: (ids[:, owners == name], oods[:, owners == name]) for name in points}
