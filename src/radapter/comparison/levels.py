"""OOD at fixed ID levels: the methods of a comparison, read from their alpha curves at the same ID.

The levels are absolute ID figures, computed once per table from means over seeds: zero-shot plus 25, 50, 75 and 90 %
of the best gain among `SETS_LEVELS`, so a further row does not move them. A method with a fixed alpha (`full`) is
one point. The others are curves, because any of their points can be had by choosing alpha.

The intervals are a paired bootstrap over test images: the images of each ID test and OOD set are drawn with
replacement, with the same draws for every method, alpha and seed, and the curves are read again at the same levels.
Seeds that share their test images need the same draws; for seeds with images of their own they do no harm.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Final

import numpy as np
from numpy.typing import NDArray

from radapter.evaluation import HEADLINES, Headline, TaskName, frontiers
from radapter.methods import TABLES, find_method
from radapter.runs.results import Figure, Interval, Levels, MethodLevels, Results, SweepRow

SETS_LEVELS: Final = (
    *("full", "full-both-towers", "full-image-tower"),
    *("wise-ft", "flyp", "lora", "r-adapter"),
)
"""The levels come from the best of these, or from all methods if none of these is compared."""
_REFERENCES = ("wise-ft", "r-adapter")
RESAMPLES = 1000
_REACHED = 0.95  # of the resamples, for an interval of a difference

Draws = NDArray[np.float64]
"""(seeds, R) or (R,): figures of R resamples; -inf if a level is not reached."""
PseudoValues = Mapping[str, NDArray[np.float32]]
"""Of one training: key such as "0.3/ood/sketch" (ALPHA/ROLE/NAME) -> (N,), one figure per image with the score as
mean."""


def sets_levels(task: TaskName) -> tuple[str, ...]:
    """Returns the methods of a task that `SETS_LEVELS` names."""
    return tuple(name for name in SETS_LEVELS if name in TABLES[task])


def levels_over_seeds(
    results: Sequence[Results],
    pseudo_values: Sequence[Mapping[str, PseudoValues]] | None = None,
    *,
    resamples: int = RESAMPLES,
) -> Levels | None:
    """Reads every trained method at the levels of the comparison; None without OOD sets, or if nothing was trained.

    Args:
        results: Of the same comparison, one per seed.
        pseudo_values: Per seed, those of each method; None computes no intervals.
        resamples: Of the bootstrap.
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
    references = [(id_, ood - frontiers.REFERENCE_OOD) for id_, ood in starts]
    zero_shot_id = fmean(id_ for id_, _ in starts)
    levels = frontiers.id_levels(zero_shot_id, highest[best])
    against = next((name for name in _REFERENCES if name in names), None)
    drawn: Mapping[str, Sequence[Draws | None]] = {name: [None] * len(levels) for name in names}
    if pseudo_values is not None:
        headline = HEADLINES[results[0].task]
        drawn = _resampled(points, pseudo_values, levels, headline=headline, resamples=resamples)
    oods = {
        name: [
            _figure(
                [frontiers.ood_at(path, level) for path in paths[name]],
                reached=frontiers.ood_at(mean_paths[name], level) is not None,
                drawn=of_level,
            )
            for level, of_level in zip(levels, drawn[name], strict=True)
        ]
        for name in names
    }

    def differences(name: str) -> list[Figure] | None:
        if against is None or name == against:
            return None
        of_levels = zip(oods[name], oods[against], drawn[name], drawn[against], strict=True)
        return [_difference(*of_level) for of_level in of_levels]

    found = {
        name: MethodLevels(
            ood=oods[name],
            difference=differences(name),
            hypervolume=_figure(list(map(frontiers.hypervolume, paths[name], references))),
        )
        for name in names
    }
    return Levels(
        fractions=list(frontiers.FRACTIONS),
        id=list(levels),
        zero_shot_id=zero_shot_id,
        best=best,
        best_id=highest[best],
        reference=(zero_shot_id, fmean(ood for _, ood in references)),
        resamples=None if pseudo_values is None else resamples,
        against=against,
        methods=found,
    )


def _points(results: Results, method: str) -> list[SweepRow]:
    """The points of a method by ascending alpha: one if its alpha is fixed."""
    alpha = results.row(method).alpha
    any_alpha = find_method(method, results.task).alpha == "auto"
    swept = (p for p in results.sweep if p.method == method and (any_alpha or p.alpha == alpha))
    return sorted(swept, key=lambda point: point.alpha)


def _path(points: Sequence[SweepRow]) -> frontiers.Path:
    return [(point.id_mean, point.ood_mean or 0.0) for point in points]


def _mean_path(points: Sequence[Sequence[SweepRow]]) -> frontiers.Path:
    """Means over seeds at the alphas of all seeds: `evaluation.alphas: chosen` may differ between them."""
    by_alpha = [{point.alpha: point for point in of_seed} for of_seed in points]
    common = [alpha for alpha in by_alpha[0] if all(alpha in of_seed for of_seed in by_alpha)]
    each = [_path([of_seed[alpha] for alpha in common]) for of_seed in by_alpha]
    return [(fmean(id_ for id_, _ in at), fmean(ood for _, ood in at)) for at in zip(*each, strict=True)]


def _figure(each: Sequence[float | None], *, reached: bool = True, drawn: Draws | None = None) -> Figure:
    """Mean, spread and interval over the seeds that have a figure, if the mean curve has reached the level."""
    known = [value for value in each if value is not None]
    if not (reached and known):
        return Figure(each=list(each), mean=None)
    interval = None
    if drawn is not None:
        low, high = frontiers.percentile_interval(_over(each, drawn))
        interval = Interval(low=low, high=high)
    std = stdev(known) if len(known) > 1 else None
    return Figure(each=list(each), mean=fmean(known), std=std, interval=interval)


def _difference(mine: Figure, theirs: Figure, my_draws: Draws | None, their_draws: Draws | None) -> Figure:
    """Mine minus theirs, over the seeds that reach the level with both.

    The interval is over the resamples in which both reach it; without an interval if fewer than `_REACHED` do.
    """
    each = [None if a is None or b is None else a - b for a, b in zip(mine.each, theirs.each, strict=True)]
    found = _figure(each, reached=mine.mean is not None and theirs.mean is not None)
    if my_draws is None or their_draws is None or found.mean is None:
        return found
    ours, others = _over(each, my_draws), _over(each, their_draws)
    both = np.isfinite(ours) & np.isfinite(others)
    if both.mean() < _REACHED:
        return found
    low, high = frontiers.percentile_interval(ours[both] - others[both])
    return found.model_copy(update={"interval": Interval(low=low, high=high)})


def _over(each: Sequence[float | None], drawn: Draws) -> Draws:
    """(R,), the mean over the seeds that have a figure."""
    known = [of_seed for of_seed, value in zip(drawn, each, strict=True) if value is not None]
    mean: Draws = np.mean(known, axis=0)
    return mean


def _resampled(
    points: Mapping[str, Sequence[Sequence[SweepRow]]],
    pseudo_values: Sequence[Mapping[str, PseudoValues]],
    levels: Sequence[float],
    *,
    headline: Headline,
    resamples: int,
) -> dict[str, list[Draws]]:
    """Method -> level -> (seeds, R), OOD of the resampled curves; -inf if a level is not reached."""
    curves = [
        _curves({name: seeds[seed] for name, seeds in points.items()}, of_seed, headline, resamples)
        for seed, of_seed in enumerate(pseudo_values)
    ]
    return {
        name: [np.stack([frontiers.oods_at(*of_seed[name], level) for of_seed in curves]) for level in levels]
        for name in points
    }


def _curves(
    points: Mapping[str, Sequence[SweepRow]],
    values: Mapping[str, PseudoValues],
    headline: Headline,
    resamples: int,
) -> dict[str, tuple[Draws, Draws]]:
    """Method -> resampled (IDs, OODs) of one seed, each (R, A)."""
    first = next(iter(points.values()))[0]
    columns = [(name, point) for name, of in points.items() for point in of]
    sets = [("id", name) for name in first.id] + [("ood", name) for name in first.ood]
    means: dict[str, list[Draws]] = {"id": [], "ood": []}
    for number, (role, name) in enumerate(sets):
        of_images = np.stack(
            [values[of][f"{at.alpha:g}/{role}/{name}"] for of, at in columns], 1, dtype=np.float64
        )
        scores = np.array([headline.score(getattr(at, role)[name]) for _, at in columns])
        # The mean of jackknife values may differ a little from the score: only the deviation from it is used.
        resampled = frontiers.resampled_means(of_images, number=number, resamples=resamples)
        means[role].append(resampled - of_images.mean(0) + scores)
    ids, oods = (np.mean(means[role], axis=0) for role in ("id", "ood"))
    owners = np.array([name for name, _ in columns])
    return {name: (ids[:, owners == name], oods[:, owners == name]) for name in points}
