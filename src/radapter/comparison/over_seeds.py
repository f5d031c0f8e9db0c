"""Several seeds as one: means and standard deviations, and the robustness of each method.

    effective = OOD mean - OOD mean of standard models with the same ID accuracy
    relative  = OOD mean - OOD mean of the zero-shot model

Source of the robustness: Taori et al., NeurIPS 2020; `evaluation.robustness` fits the line of standard models.
"""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TypeVar, get_args

from radapter.errors import ConfigError
from radapter.evaluation import Baseline, Headline, Metrics, harmonic_mean
from radapter.evaluation.robustness import effective_robustness, relative_robustness
from radapter.runs.results import Figures, Mean, Results, Robustness, Row, Spread, SweepRow, Value
from radapter.tasks.suite import TESTED

_OneOf = TypeVar("_OneOf", bound=Figures)


def over_seeds(results: Sequence[Results]) -> Results:
    """The mean of the same comparison at several seeds.

    `spread` has the standard deviations over seeds of each set's figure of the task and its parts (top-1; rsum and
    the recalls), and of each mean over sets. Metrics that some seeds lack are left out. Raises ConfigError for fewer
    than two results, or results of different models or methods.
    """
    if len(results) < 2:
        raise ConfigError(f"a spread needs at least two seeds. Got {len(results)}.")
    shapes = {(r.fingerprint, tuple(row.method for row in r.rows)) for r in results}
    if len(shapes) > 1:
        raise ConfigError("results must be of one model and the same methods. Run them again alike.")
    first = results[0]
    return first.model_copy(
        update={
            "seeds": [r.seed for r in results],
            "rows": [_row(rows, first.headline) for rows in zip(*(r.rows for r in results), strict=True)],
            "sweep": [_point(points, first.headline) for points in _common_points(results)],
            "evaluation_seconds": _mean_of_known([r.evaluation_seconds for r in results]),
        }
    )


def robustness(results: Sequence[Results], standard: Baseline) -> dict[str, Robustness]:
    """Effective and relative robustness of each row, including zero-shot, against a line of standard models.

    Raises ConfigError if there is no OOD set.
    """
    found = {}
    for method in (row.method for row in results[0].rows):
        effective, relative = zip(*(_robustness(one, method, standard) for one in results), strict=True)
        found[method] = Robustness(effective=_value(effective), relative=_value(relative))
    return found


def _value(each: Sequence[float]) -> Value:
    return Value(mean=fmean(each), std=stdev(each) if len(each) > 1 else None)


def _robustness(one: Results, method: str, standard: Baseline) -> tuple[float, float]:
    row, zero_shot = one.row(method), one.row("zero-shot")
    if row.ood_mean is None or zero_shot.ood_mean is None:
        raise ConfigError("robustness needs at least one OOD set. Got none. Set data.ood.")
    return (
        effective_robustness(standard, id_accuracy=row.id_mean, ood_accuracy=row.ood_mean),
        relative_robustness(tuned=row.ood_mean, base=zero_shot.ood_mean),
    )


def _row(rows: Sequence[Row], headline: Headline) -> Row:
    return _averaged(rows, headline).model_copy(
        update={
            "alpha": round(fmean(row.alpha for row in rows), 4),
            "alphas": [row.alpha for row in rows],
            "selections": [row.selection for row in rows],
            "forgetting": {name: fmean(row.forgetting[name] for row in rows) for name in rows[0].forgetting},
            "seconds": fmean(row.seconds for row in rows),
            "seconds_per_epoch": _mean_of_known([row.seconds_per_epoch for row in rows]),
            "step_bytes": _mean_of_known([row.step_bytes for row in rows]),
        }
    )


def _common_points(results: Sequence[Results]) -> list[list[SweepRow]]:
    """The rows of the sweep that every seed has; `evaluation.alphas: chosen` may differ between seeds."""
    found = [{(point.method, point.alpha): point for point in one.sweep} for one in results]
    return [[of[key] for of in found] for key in found[0] if all(key in of for of in found)]


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _point(points: Sequence[SweepRow], headline: Headline) -> SweepRow:
    point = _averaged(points, headline)
    found = [point.id_val for point in points if point.id_val is not None]
    if not found or point.spread is None:
        return point
    id_val, spread = _metrics(found, headline)
    return point.model_copy(
        update={"id_val": id_val, "spread": point.spread.model_copy(update={"id_val": spread})}
    )


def _averaged(rows: Sequence[_OneOf], headline: Headline) -> _OneOf:
    """The first of the rows with means over all of them."""
    first = rows[0]
    sets = {
        role: {name: _metrics([row.sets(role)[name] for row in rows], headline) for name in first.sets(role)}
        for role in TESTED
    }
    means: dict[str, float | None] = {}
    deviations: dict[str, float | None] = {}
    for mean in get_args(Mean):
        found = [value.mean for row in rows if (value := row.mean(mean)) is not None]
        means[mean], deviations[mean] = (fmean(found), stdev(found)) if found else (None, None)
    base, novel = means["id_mean"], means["kept"]
    assert base is not None
    spread = Spread.model_validate(
        {role: {name: std for name, (_, std) in of.items()} for role, of in sets.items()} | deviations
    )
    return first.model_copy(
        update={
            **{role: {name: mean for name, (mean, _) in of.items()} for role, of in sets.items()},
            **means,
            "harmonic_of_means": None if novel is None else harmonic_mean(base, novel),
            "spread": spread,
        }
    )


def _metrics(found: Sequence[Metrics], headline: Headline) -> tuple[Metrics, Metrics]:
    """Means, and standard deviations of the task's figure and its parts."""
    common = [name for name in found[0] if all(name in metrics for metrics in found)]
    spread = [name for name in (headline.metric, *headline.parts) if name in common]
    return (
        {name: fmean(metrics[name] for metrics in found) for name in common},
        {name: stdev(metrics[name] for metrics in found) for name in spread},
    )
