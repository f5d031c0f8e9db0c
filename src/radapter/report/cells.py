"""What tables share: cells with their spread, the best of a column, the lines of a method, Markdown."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from radapter.report.curves import points_beside
from radapter.report.metrics import Shown, shown_as
from radapter.runs.results import MEANS, Figures, Results, Row, Value
from radapter.tasks.suite import Role

ABSENT = "-"
PERCENT = Shown("")
ROLES: dict[Role, str] = {"id": "in distribution", "ood": "out of distribution"}


class Cell(NamedTuple):
    """Text, and a score of which more is better; None does not compete for the best of a column."""

    text: str
    score: float | None = None


class Column(NamedTuple):
    """One column of a table with a line for each row or point."""

    header: str
    cell: Callable[[Figures], Cell]


class Line(NamedTuple):
    """One line of a method: the figures are its row's, or those of a point of its curve beside the row."""

    row: Row
    alpha: str
    figures: Figures
    beside: bool


def lines_of(results: Results) -> Iterator[Line]:
    """Each row, followed by the points beside it."""
    for row in results.rows:
        yield Line(row, alpha_of(row), row, False)
        for point in points_beside(results, row):
            yield Line(row, f"{point.alpha:g}", point, True)


def alpha_of(row: Row) -> str:
    """The chosen alpha as text."""
    return ABSENT if row.method == "zero-shot" else f"{row.alpha:.2g}"


def cell(value: Value | None, shown: Shown = PERCENT, *, sign: bool = False) -> Cell:
    """A figure with its spread over seeds where known."""
    if value is None:
        return Cell(ABSENT)
    spread = "" if value.std is None else f" ± {shown.text(value.std)}"
    return Cell(shown.text(value.mean, sign=sign) + spread, shown.score(value.mean))


def mean_cell(results: Results, role: Role, metric: str, figures: Figures) -> Cell:
    """The mean over the sets of a role; the spread is known of the task's figure alone."""
    if metric == results.headline.metric:
        return cell(figures.mean(MEANS[role]), shown_as(results.task, metric))
    average = figures.average(role, metric)
    return cell(None if average is None else Value(mean=average), shown_as(results.task, metric))


def set_cell(results: Results, role: Role, name: str, metric: str, figures: Figures) -> Cell:
    """A metric of one set; the task's figure as a share of its largest value."""
    value = figures.value(role, name, metric)
    most = results.headline.most if metric == results.headline.metric else 1.0
    if value is not None and most != 1:
        value = Value(mean=value.mean / most, std=None if value.std is None else value.std / most)
    return cell(value, shown_as(results.task, metric))


def best_of(cells: Sequence[Cell]) -> frozenset[int]:
    """Which of two or more scores are the highest."""
    known = [each.score for each in cells if each.score is not None]
    if len(known) < 2:
        return frozenset()
    return frozenset(number for number, each in enumerate(cells) if each.score == max(known))


def markdown(headers: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are figures."""
    rule = "|---|" + "---:|" * (len(headers) - 1)
    return "\n".join([_line(headers), rule, *map(_line, lines)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
