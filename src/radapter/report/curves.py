"""Which alpha curve of the results each row stands on.

Two rows may stand on one curve: WiSE-FT is a point between zero-shot and `full`. The sweep then holds the curve
under one of the names, or under both; here it is one curve with two rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

Json = Mapping[str, Any]
"""results.json, or one of its objects: `Results.as_dict()`."""


@final
@dataclass(frozen=True)
class Curve:
    """One trained model at every alpha.

    Attributes:
        rows: the results' rows that stand on it.
        points: its rows of the sweep, alpha ascending.
    """

    rows: tuple[Json, ...]
    points: tuple[Json, ...]

    def at(self, alpha: float) -> Json | None:
        """The point at that alpha, where the sweep has one."""
        return next((point for point in self.points if abs(point["alpha"] - alpha) < 1e-9), None)


def curves(results: Json) -> list[Curve]:
    """Every distinct curve of the sweep that has at least two points, in the order of its first row.

    Args:
        results: the whole of results.json.

    Returns:
        Curves; those on which no row stands come last.
    """
    by_method: dict[str, list[Json]] = {}
    for point in results["sweep"]:
        by_method.setdefault(point["method"], []).append(point)
    distinct: dict[tuple[object, ...], tuple[Json, ...]] = {}
    for sweep in by_method.values():
        sweep.sort(key=lambda point: point["alpha"])
        if len(sweep) > 1:
            distinct.setdefault(_shape(sweep), tuple(sweep))

    found = []
    for shape, points in distinct.items():
        names = {name for name, other in by_method.items() if _shape(other) == shape}
        rows = (r for r in results["rows"] if r["method"] in names or _stands_on(r, points, by_method))
        found.append(Curve(tuple(rows), points))
    order = {row["method"]: index for index, row in enumerate(results["rows"])}
    return sorted(
        found, key=lambda curve: min((order[row["method"]] for row in curve.rows), default=len(order))
    )


def _stands_on(row: Json, points: Sequence[Json], by_method: Mapping[str, object]) -> bool:
    """Whether a row without a sweep of its own has the figures of one of these points past alpha 0."""
    if row["method"] in by_method or row["alpha"] == 0:
        return False  # at alpha 0 all curves meet
    figures = (row["alpha"], row["id"], row["ood"])
    return any((point["alpha"], point["id"], point["ood"]) == figures for point in points)


def _shape(points: Sequence[Json]) -> tuple[object, ...]:
    return tuple((point["alpha"], point["id_mean"], point["ood_mean"], point.get("kept")) for point in points)
