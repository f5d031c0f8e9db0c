"""What tables share: alpha curves, cells with their spread, the best of a column, lines of a method, Markdown."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from radapter.report.metrics import Shown, shown_as
from radapter.runs.results import MEANS, Figures, Results, Row, SweepRow, Value
from radapter.tasks.suite import Role

ABSENT = "-"
PERCENT = Shown("")
ROLES: dict[Role, str] = {"id": "in distribution", "ood": "out of distribution"}


class Cell(NamedTuple):
    """Text, and a score of which more is better; None does not compete for the best of a column."""

    text: str
    score: float | None = None


class Column(NamedTuple):
    """A header, the cell of each row or point, and a shorter header for the terminal."""

    header: str
    cell: Callable[[Any], Cell]
    short: str = ""


class Curve(NamedTuple):
    """One trained model at every alpha: its rows of the results, and its points of the sweep, alpha ascending."""

    rows: tuple[Row, ...]
    points: tuple[SweepRow, ...]

    def at(self, alpha: float) -> SweepRow | None:
        """The point at that alpha, if the sweep has one."""
        return next((point for point in self.points if abs(point.alpha - alpha) < 1e-9), None)


def curves(results: Results) -> list[Curve]:
    """Returns every distinct curve of at least two points, in the order of its first row; those without a row come
    last. Two rows may be on one curve, which the sweep holds under either name or both: WiSE-FT is a point between
    zero-shot and `full`."""
    by_method: dict[str, list[SweepRow]] = {}
    for point in results.sweep:
        by_method.setdefault(point.method, []).append(point)
    distinct: dict[tuple[object, ...], tuple[SweepRow, ...]] = {}
    for sweep in by_method.values():
        sweep.sort(key=lambda point: point.alpha)
        if len(sweep) > 1:
            distinct.setdefault(_shape(sweep), tuple(sweep))

    def is_on(row: Row, shape: tuple[object, ...], points: Sequence[SweepRow]) -> bool:
        if row.method in by_method:
            return _shape(by_method[row.method]) == shape
        # without a sweep of its own, a row is on a curve that has its figures; at alpha 0 all curves meet
        mine = (row.alpha, row.id, row.ood)
        return row.alpha != 0 and any((point.alpha, point.id, point.ood) == mine for point in points)

    found = [
        Curve(tuple(row for row in results.rows if is_on(row, shape, points)), points)
        for shape, points in distinct.items()
    ]
    order = {row.method: index for index, row in enumerate(results.rows)}
    return sorted(found, key=lambda curve: min((order[row.method] for row in curve.rows), default=len(order)))


def at_alpha(results: Results, row: Row, alpha: float) -> SweepRow | None:
    """The point of a row's curve at an alpha of the sweep; None if there is none."""
    for curve in curves(results):
        if any(on_it.method == row.method for on_it in curve.rows):
            return curve.at(alpha)
    return None


def points_beside(results: Results, row: Row) -> list[SweepRow]:
    """The points of a row's curve that are shown beside it: alpha 1, and for a single method the paper's alpha."""
    if row.alpha == 1:
        return []
    trained = sum(other.method != "zero-shot" for other in results.rows)
    alphas = (results.headline.paper_alpha, 1.0) if trained == 1 else (1.0,)
    points = (at_alpha(results, row, alpha) for alpha in alphas if alpha != row.alpha)
    return [point for point in points if point is not None]


class Line(NamedTuple):
    """One line of a method: the figures are its row's, or those of a point of its curve beside the row."""

    row: Row
    alpha: str
    figures: Figures
    beside: bool


def lines_of(results: Results) -> Iterator[Line]:
    """Yields each row, followed by the points beside it."""
    for row in results.rows:
        yield Line(row, alpha_of(row), row, False)
        for point in points_beside(results, row):
            yield Line(row, f"{point.alpha:g}", point, True)


def alpha_of(row: Row) -> str:
    """The chosen alpha as text."""
    return ABSENT if row.method == "zero-shot" else f"{row.alpha:.2g}"


def cell(value: Value | None, shown: Shown = PERCENT, *, sign: bool = False, spread: bool = True) -> Cell:
    """A figure, with its spread over seeds if known."""
    if value is None:
        return Cell(ABSENT)
    std = "" if value.std is None or not spread else f" ± {shown.text(value.std)}"
    return Cell(shown.text(value.mean, sign=sign) + std, shown.score(value.mean))


def mean_of(results: Results, role: Role, metric: str, figures: Figures) -> Value | None:
    """The mean over the sets of a role; its spread is known only for the task's score."""
    if metric == results.headline.metric:
        return figures.mean(MEANS[role])
    average = figures.average(role, metric)
    return None if average is None else Value(mean=average)


def mean_cell(results: Results, role: Role, metric: str, figures: Figures) -> Cell:
    """The cell of `mean_of`."""
    return cell(mean_of(results, role, metric, figures), shown_as(results.task, metric))


def set_cell(results: Results, role: Role, name: str, metric: str, figures: Figures) -> Cell:
    """A metric of one set; the task's score as a share of its largest value."""
    value = figures.value(role, name, metric)
    most = results.headline.most if metric == results.headline.metric else 1.0
    if value is not None and most != 1:
        value = Value(mean=value.mean / most, std=None if value.std is None else value.std / most)
    return cell(value, shown_as(results.task, metric))


def best_of(cells: Sequence[Cell], *, least: int = 2) -> frozenset[int]:
    """The places of the highest scores; none if fewer than `least` cells have a score."""
    known = [each.score for each in cells if each.score is not None]
    if len(known) < least:
        return frozenset()
    return frozenset(number for number, each in enumerate(cells) if each.score == max(known))


def texts_of(
    columns: Sequence[Column], rows: Sequence[Figures], *, least: int = 2
) -> list[list[tuple[str, bool]]]:
    """Row by row, the text of each column, and whether it is among the best of the column; see `best_of`."""
    by_column = [[column.cell(row) for row in rows] for column in columns]
    best = [best_of(cells, least=least) for cells in by_column]
    return [
        [(cells[number].text, number in of) for cells, of in zip(by_column, best, strict=True)]
        for number in range(len(rows))
    ]


def markdown(headers: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are figures."""
    rule = "|---|" + "---:|" * (len(headers) - 1)
    return "\n".join([_line(headers), rule, *map(_line, lines)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shape(points: Sequence[SweepRow]) -> tuple[object, ...]:
    return tuple((point.alpha, point.id_mean, point.ood_mean, point.kept) for point in points)
