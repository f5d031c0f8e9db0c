"""Which alpha curve of the results each row is on.

Two rows may be on one curve: WiSE-FT is a point between zero-shot and `full`. The sweep then holds the curve under
one of the names, or under both; here it is one curve with two rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from radapter.runs.results import Results, Row, SweepRow


@final
@dataclass(frozen=True)
class Curve:
    """One trained model at every alpha.

    Attributes:
        rows: the results' rows that are on it.
        points: its rows of the sweep, alpha ascending.
    """

    rows: tuple[Row, ...]
    points: tuple[SweepRow, ...]

    def at(self, alpha: float) -> SweepRow | None:
        """The point at that alpha, where the sweep has one."""
        return next((point for point in self.points if abs(point.alpha - alpha) < 1e-9), None)


def curves(results: Results) -> list[Curve]:
    """Every distinct curve of the sweep that has at least two points, in the order of its first row.

    Returns:
        Curves; those without a row come last.
    """
    by_method: dict[str, list[SweepRow]] = {}
    for point in results.sweep:
        by_method.setdefault(point.method, []).append(point)
    distinct: dict[tuple[object, ...], tuple[SweepRow, ...]] = {}
    for sweep in by_method.values():
        sweep.sort(key=lambda point: point.alpha)
        if len(sweep) > 1:
            distinct.setdefault(_shape(sweep), tuple(sweep))

    found = []
    for shape, points in distinct.items():
        names = {name for name, other in by_method.items() if _shape(other) == shape}
        rows = (r for r in results.rows if r.method in names or _is_on(r, points, by_method))
        found.append(Curve(tuple(rows), points))
    order = {row.method: index for index, row in enumerate(results.rows)}
    return sorted(found, key=lambda curve: min((order[row.method] for row in curve.rows), default=len(order)))


def at_alpha(results: Results, row: Row, alpha: float) -> SweepRow | None:
    """The point of a row's curve at an alpha of the sweep; None where there is none."""
    for curve in curves(results):
        if any(on_it.method == row.method for on_it in curve.rows):
            return curve.at(alpha)
    return None


def points_beside(results: Results, row: Row) -> list[SweepRow]:
    """The points of a row's curve that are shown beside it: alpha 1, and of a single method the paper's alpha."""
    if row.alpha == 1:
        return []
    trained = sum(other.method != "zero-shot" for other in results.rows)
    alphas = (results.headline.paper_alpha, 1.0) if trained == 1 else (1.0,)
    points = (at_alpha(results, row, alpha) for alpha in alphas if alpha != row.alpha)
    return [point for point in points if point is not None]


def _is_on(row: Row, points: Sequence[SweepRow], by_method: Mapping[str, object]) -> bool:
    """Whether a row without a sweep of its own has the figures of one of these points past alpha 0."""
    if row.method in by_method or row.alpha == 0:
        return False  # at alpha 0 all curves meet
    return any((point.alpha, point.id, point.ood) == (row.alpha, row.id, row.ood) for point in points)


def _shape(points: Sequence[SweepRow]) -> tuple[object, ...]:
    return tuple((point.alpha, point.id_mean, point.ood_mean, point.kept) for point in points)
