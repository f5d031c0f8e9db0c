"""What the slider of the page moves, as JSON: points of every curve, and gains with intervals."""

import math
from typing import Any

import numpy as np

from radapter.report.cells import curves
from radapter.report.page.source import Folder, Values
from radapter.runs.results import Figures, Results, Row, SweepRow
from radapter.tasks.suite import TESTED

Z95 = 1.959964


def page_facts(folder: Folder) -> dict[str, Any]:
    """Returns what the page's script reads. Scores are shares of the task's largest value; `error` is half of the
    95 % interval of a gain over the test images, None without pseudo-values."""
    results = folder.results
    zero_shot = next((row for row in results.rows if row.method == "zero-shot"), results.rows[0])
    methods: dict[str, list[dict[str, Any]]] = {}
    for curve in curves(results):
        for row in curve.rows:
            values = folder.values(row.method)
            points = [_point(results, point, zero_shot, values) for point in curve.points]
            if len(curve.rows) > 1 and _is_given(
                row
            ):  # `full` is the end of WiSE-FT's curve, and no curve itself
                points = [point for point in points if point["alpha"] == row.alpha] or points
            methods[row.method] = points
    return {
        "figure": results.headline.label,
        "sets": [{"role": role, "name": name} for role in TESTED for name in results.sets(role)],
        "zeroShot": {"id": zero_shot.id_mean, "ood": zero_shot.ood_mean, "kept": zero_shot.kept},
        "methods": methods,
        "chosen": {row.method: row.alpha for row in results.rows if row.method in methods},
        "first": folder.first if folder.first in methods else next(iter(methods), None),
        "seeds": len(results.seeds),
    }


def _is_given(row: Row) -> bool:
    """Whether the alpha of a row was given rather than chosen."""
    return all(selection is None or selection.split is None for selection in row.selections)


def _point(results: Results, point: SweepRow, zero_shot: Figures, values: Values) -> dict[str, Any]:
    score = results.headline.score
    gains: list[dict[str, Any]] = [
        {
            "role": role,
            "name": name,
            "value": score(point.sets(role)[name]),
            "gain": score(point.sets(role)[name]) - score(zero_shot.sets(role)[name]),
            "error": _paired_error(values, point.alpha, f"{role}/{name}"),
        }
        for role in TESTED
        for name in results.sets(role)
    ]
    return {
        "alpha": point.alpha,
        "id": point.id_mean,
        "ood": point.ood_mean,
        "kept": point.kept,
        "gains": gains,
        "errors": {role: _error_of_mean([g["error"] for g in gains if g["role"] == role]) for role in TESTED},
    }


def _paired_error(values: Values, alpha: float, name: str) -> float | None:
    now, before = (values.get(f"{at:g}/{name}") for at in (alpha, 0.0))
    if now is None or before is None or len(now) != len(before) or len(now) < 2:
        return None
    difference = now.astype(np.float64) - before.astype(np.float64)
    return float(Z95 * difference.std(ddof=1) / math.sqrt(len(difference)))


def _error_of_mean(errors: list[float | None]) -> float | None:
    """Half of the interval of a mean over independent sets; None if one is unknown."""
    known = [error for error in errors if error is not None]
    if not errors or len(known) < len(errors):
        return None
    return math.sqrt(math.fsum(error**2 for error in known)) / len(known)
