"""The table of `radapter evaluate`: one row per method, one column per set."""

from collections.abc import Iterator

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.report.cells import alpha_of, set_cell
from radapter.report.metrics import BESIDE, SHARED, shown_as
from radapter.report.table import framed
from radapter.runs.results import Results, Row
from radapter.tasks.suite import Role

_ROLES: dict[Role, str] = {"id": "ID", "ood": "OOD", "transfer": "transfer"}


def sets_tables(
    results: Results, *, metric: str | None = None, roles: bool = False, width: int | None = None
) -> list[Group]:
    """Shows every set under its own name, with its number of images in the last row.

    `metric` is any of the task's `METRICS`; None is the task's score, with lines for `BESIDE` and `SHARED`. `roles`
    adds the roles of the sets to their headers. Sets beyond the terminal's `width` go into further tables.
    """
    sets = [(role, name) for role in _ROLES for name in results.sets(role)]
    headers = [f"{name} ({_ROLES[role]})" if roles else name for role, name in sets]
    lines = [
        (titles, [set_cell(results, role, name, key, row).text for role, name in sets])
        for titles, row, key in _lines(results, metric)
    ]
    lines.append((("n", ""), [f"{results.rows[0].sets(role)[name]['n']:,.0f}" for role, name in sets]))
    title = f"{shown_as(results.task, metric or results.headline.metric).title}, {results.model}"
    widths = [max(map(len, column)) for column in zip(headers, *(cells for _, cells in lines), strict=True)]
    first = max(len(method) for (method, _), _ in lines) + 8
    return [
        _table(title, headers[part], [(titles, cells[part]) for titles, cells in lines])
        for part in _parts(widths, None if width is None else width - first)
    ]


def _lines(results: Results, metric: str | None) -> Iterator[tuple[tuple[str, str], Row, str]]:
    """Method and alpha, the row, and the metric of each line."""
    headline = results.headline.metric
    beside, shared = (BESIDE[results.task], SHARED[results.task]) if metric in (None, headline) else ({}, {})
    for row in results.rows:
        yield (row.method, alpha_of(row)), row, metric or headline
        for key, words in beside.items():
            yield (f"{row.method}, {words}", alpha_of(row)), row, key
    for key, words in shared.items():
        yield (words, ""), results.rows[0], key


def _parts(widths: list[int], limit: int | None) -> Iterator[slice]:
    """Runs of columns that fit into `limit`, each of at least one column."""
    start = taken = 0
    for index, width in enumerate(widths):
        if limit is not None and index > start and taken + width + 2 > limit:
            yield slice(start, index)
            start, taken = index, 0
        taken += width + 2
    yield slice(start, len(widths))


def _table(title: str, headers: list[str], lines: list[tuple[tuple[str, str], list[str]]]) -> Group:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("Method", no_wrap=True)
    for header in ("Alpha", *headers):
        table.add_column(Text(header), justify="right", no_wrap=True)
    for titles, cells in lines:
        table.add_row(*map(Text, (*titles, *cells)))
    return framed(table, title=title)
