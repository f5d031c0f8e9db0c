"""Several seeds as one: means and standard deviations, in the form of results.json."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from radapter.errors import ConfigError
from radapter.evaluation import Metrics
from radapter.protocol.results import Results, Row, SweepRow


def over_seeds(results: Sequence[Results]) -> dict[str, Any]:
    """The mean of the same comparison at several seeds.

    Args:
        results: of one model and the same methods, one per seed.

    Returns:
        As `Results.as_dict()`, every figure a mean; beside each top-1, and beside each mean over sets, its
        standard deviation over seeds under the name with `_std`; `harmonic_mean` is the mean of each seed's. Rows
        say the number of `seeds` and the `alphas` they stood at; `alpha` is their mean.

    Raises:
        ConfigError: fewer than two results, or results of different models or methods.
    """
    if len(results) < 2:
        raise ConfigError(f"a spread needs at least two seeds. Got {len(results)}.")
    shapes = {(r.fingerprint, tuple(row.method for row in r.rows)) for r in results}
    if len(shapes) > 1:
        raise ConfigError("results must be of one model and the same methods. Run them again alike.")
    first = results[0]
    return {
        **first.as_dict(),
        "seeds": [r.seed for r in results],
        "rows": [_row(rows) for rows in zip(*(r.rows for r in results), strict=True)],
        "sweep": [_point(points) for points in zip(*(r.sweep for r in results), strict=True)],
    }


def _row(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        **_figures(rows),
        "method": rows[0].method,
        "alpha": round(fmean(row.alpha for row in rows), 4),
        "alphas": [row.alpha for row in rows],
        "seeds": len(rows),
        "trained_parameters": rows[0].trained_parameters,
        "learning_rate": rows[0].learning_rate,
        "forgetting": {name: fmean(row.forgetting[name] for row in rows) for name in rows[0].forgetting},
        "seconds": fmean(row.seconds for row in rows),
    }


def _point(points: Sequence[SweepRow]) -> dict[str, Any]:
    found = [point.id_val for point in points if point.id_val is not None]
    id_val = _metrics(found) if found else None
    return {**_figures(points), "method": points[0].method, "alpha": points[0].alpha, "id_val": id_val}


def _figures(rows: Sequence[Row] | Sequence[SweepRow]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "id": {name: _metrics([row.id[name] for row in rows]) for name in rows[0].id},
        "ood": {name: _metrics([row.ood[name] for row in rows]) for name in rows[0].ood},
        "transfer": {name: _metrics([row.transfer[name] for row in rows]) for name in rows[0].transfer},
    }
    for mean in ("id_mean", "ood_mean", "transfer_mean", "harmonic_mean"):
        found = [value for row in rows if (value := getattr(row, mean)) is not None]
        figures |= {mean: fmean(found), f"{mean}_std": stdev(found)} if found else {mean: None}
    return figures


def _metrics(found: Sequence[Mapping[str, float]]) -> Metrics:
    means = {name: fmean(metrics[name] for metrics in found) for name in found[0]}
    return means | {"top1_std": stdev(metrics["top1"] for metrics in found)}
