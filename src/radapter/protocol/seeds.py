"""Several seeds as one: means and standard deviations, in the form of results.json."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from radapter.errors import ConfigError
from radapter.evaluation import HEADLINES, Headline, Metrics, harmonic_mean
from radapter.evaluation.frontiers import frontier_gap
from radapter.protocol.results import Results, Row, SweepRow


def over_seeds(results: Sequence[Results]) -> dict[str, Any]:
    """The mean of the same comparison at several seeds.

    Args:
        results: of one model and the same methods, one per seed.

    Returns:
        As `Results.as_dict()`, every figure a mean; beside each set's figure of the task and its parts (top-1; rsum
        and the recalls), and beside each mean over sets, its standard deviation over seeds under the name with
        `_std`; `harmonic_mean` is the mean of each seed's, and `harmonic_of_means` that of the means. Metrics that
        not every seed has are left out. Rows have the number of `seeds`, and the `alphas` and `selections` of each
        seed; `alpha` is the mean.

    Raises:
        ConfigError: fewer than two results, or results of different models or methods.
    """
    if len(results) < 2:
        raise ConfigError(f"a spread needs at least two seeds. Got {len(results)}.")
    shapes = {(r.fingerprint, tuple(row.method for row in r.rows)) for r in results}
    if len(shapes) > 1:
        raise ConfigError("results must be of one model and the same methods. Run them again alike.")
    first = results[0]
    headline = HEADLINES[first.task]
    return {
        **first.as_dict(),
        "seeds": [r.seed for r in results],
        "rows": [_row(rows, headline) for rows in zip(*(r.rows for r in results), strict=True)],
        "sweep": [_point(points, headline) for points in _common_points(results)],
        "evaluation_seconds": _mean_of_known([r.evaluation_seconds for r in results]),
    }


def frontiers(results: Sequence[Results], reference: str) -> list[dict[str, Any]]:
    """OOD at equal ID of every trained method against one of them, seed by seed.

    The pairs have the data, the order and the zero-shot model in common, so the spread of their differences says
    more than the spread of either.

    Args:
        results: of the same comparison, one per seed.
        reference: the method compared against.

    Returns:
        For each other method: "method", "reference", "gaps" (one per seed, None where there is no frontier), and,
        over the seeds that have one, "gap" (mean), "gap_std" (None for one seed) and "above" (how many are
        positive).

    Raises:
        ConfigError: the reference is not one of the trained methods, or there is no OOD set.
    """
    swept = list(dict.fromkeys(row.method for row in results[0].sweep if row.method != "zero-shot"))
    if reference not in swept:
        raise ConfigError(
            f"frontiers are compared against one of {', '.join(swept)}. Got '{reference}'. "
            "Add it to the methods or name another."
        )
    found = []
    for method in swept:
        if method == reference:
            continue
        gaps = [frontier_gap(_path(one, method), _path(one, reference)) for one in results]
        known = [gap for gap in gaps if gap is not None]
        found.append(
            {
                "method": method,
                "reference": reference,
                "gaps": gaps,
                "gap": fmean(known) if known else None,
                "gap_std": stdev(known) if len(known) > 1 else None,
                "above": sum(gap > 0 for gap in known),
            }
        )
    return found


def _path(results: Results, method: str) -> list[tuple[float, float]]:
    points = sorted((row for row in results.sweep if row.method == method), key=lambda row: row.alpha)
    without = [row for row in points if row.ood_mean is None]
    if without:
        raise ConfigError("a frontier needs OOD sets. Got none. Give data.ood.")
    return [(row.id_mean, row.ood_mean) for row in points if row.ood_mean is not None]


def _row(rows: Sequence[Row], headline: Headline) -> dict[str, Any]:
    return {
        **_figures(rows, headline),
        "method": rows[0].method,
        "alpha": round(fmean(row.alpha for row in rows), 4),
        "alphas": [row.alpha for row in rows],
        "selections": [row.selection and row.selection.model_dump(mode="json") for row in rows],
        "seeds": len(rows),
        "trained_parameters": rows[0].trained_parameters,
        "learning_rate": rows[0].learning_rate,
        "forgetting": {name: fmean(row.forgetting[name] for row in rows) for name in rows[0].forgetting},
        "seconds": fmean(row.seconds for row in rows),
        "seconds_per_epoch": _mean_of_known([row.seconds_per_epoch for row in rows]),
        "step_bytes": _mean_of_known([row.step_bytes for row in rows]),
    }


def _common_points(results: Sequence[Results]) -> list[list[SweepRow]]:
    """The rows of the sweep that every seed has; `evaluation.alphas: chosen` may differ between seeds."""
    found = [{(point.method, point.alpha): point for point in one.sweep} for one in results]
    return [[of[key] for of in found] for key in found[0] if all(key in of for of in found)]


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _point(points: Sequence[SweepRow], headline: Headline) -> dict[str, Any]:
    found = [point.id_val for point in points if point.id_val is not None]
    id_val = _metrics(found, headline) if found else None
    return {
        **_figures(points, headline),
        "method": points[0].method,
        "alpha": points[0].alpha,
        "id_val": id_val,
    }


def _figures(rows: Sequence[Row] | Sequence[SweepRow], headline: Headline) -> dict[str, Any]:
    figures: dict[str, Any] = {
        role: {name: _metrics([getattr(row, role)[name] for row in rows], headline) for name in of_first}
        for role, of_first in (("id", rows[0].id), ("ood", rows[0].ood), ("transfer", rows[0].transfer))
    }
    for mean in ("id_mean", "ood_mean", "transfer_mean", "harmonic_mean"):
        found = [value for row in rows if (value := getattr(row, mean)) is not None]
        figures |= {mean: fmean(found), f"{mean}_std": stdev(found)} if found else {mean: None}
    base, novel = figures["id_mean"], figures["transfer_mean"]
    return {**figures, "harmonic_of_means": None if novel is None else harmonic_mean(base, novel)}


def _metrics(found: Sequence[Mapping[str, float]], headline: Headline) -> Metrics:
    common = [name for name in found[0] if all(name in metrics for metrics in found)]
    means = {name: fmean(metrics[name] for metrics in found) for name in common}
    spread = [name for name in (headline.metric, *headline.parts) if name in means]
    return means | {f"{name}_std": stdev(metrics[name] for metrics in found) for name in spread}
