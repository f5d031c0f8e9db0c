"""The table of a run: one row per method, in the terminal and in Markdown.

`grid` decides the text of each cell; `results_table` and `results_markdown` only format it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.report.cells import ABSENT, Cell, Column, best_of, cell, lines_of, mean_cell, mean_of, set_cell
from radapter.report.metrics import BESIDE, shown_as
from radapter.runs.results import Figures, Results, Row
from radapter.task_list import entry_of
from radapter.tasks.suite import TESTED, Role


class GridLine(NamedTuple):
    """The text of each column, the columns in which no other method is better, and whether the line is beside its
    row, at another alpha, where it does not compete."""

    cells: tuple[str, ...]
    best: frozenset[int]
    beside: bool


class Grid(NamedTuple):
    """The table's text; a narrow terminal shows only the first `summary` columns."""

    headers: tuple[str, ...]
    lines: tuple[GridLine, ...]
    summary: int


_HEAD = ("Method", "Alpha", "Trained")


def grid(results: Results, *, metric: str | None = None) -> Grid:
    """Returns the text of each cell of `metric`, any of the task's `METRICS`; None is the task's score. A row has
    more lines at the alphas of `points_beside`."""
    metric = metric or results.headline.metric
    (summary, more), costs = _columns(results, metric), _costs(results)
    columns = [*summary, *more]
    best_rows = [best_of([column.cell(row) for row in results.rows]) for column in columns]
    methods = [row.method for row in results.rows]
    lines = []
    for row, alpha, figures, beside in lines_of(results):
        texts = [row.method, alpha, "" if beside else parameters(row.trained_parameters)]
        texts += [column.cell(figures).text for column in columns]
        texts += ["" if beside else cost(row) or ABSENT for cost in costs.values()]
        wins = (i for i, best in enumerate(best_rows) if methods.index(row.method) in best and not beside)
        lines.append(GridLine(tuple(texts), frozenset(len(_HEAD) + i for i in wins), beside))
    headers = (*_HEAD, *(column.header for column in columns), *costs)
    return Grid(headers, tuple(lines), len(_HEAD) + len(summary))


def _columns(results: Results, metric: str) -> tuple[list[Column], list[Column]]:
    """ID, OOD, OOD against zero-shot, Kept; then H, the metrics of `BESIDE`, single sets, calibration."""
    shown = shown_as(results.task, metric)
    ood = partial(mean_of, results, "ood", metric)
    reference = next((ood(row) for row in results.rows if row.method == "zero-shot"), None)

    def mean(header: str, role: Role, of: str = metric) -> Column:
        return Column(header, partial(mean_cell, results, role, of))

    def gain(figures: Figures) -> Cell:
        value = ood(figures)
        if value is None or reference is None or figures.method == "zero-shot":
            return Cell(ABSENT)
        return Cell(shown.text(value.mean - reference.mean, sign=True))

    summary, more = [mean("ID", "id")], []
    if results.sets("ood"):
        summary += [mean("OOD mean", "ood"), Column("vs zero-shot", gain)]
    if results.sets("transfer"):
        summary.append(mean("Kept", "transfer"))
    is_score = metric == results.headline.metric
    if is_score and results.sets("transfer"):
        more.append(Column("H", lambda figures: cell(figures.mean("harmonic_mean"), shown)))
    roles: dict[Role, str] = {"id": "ID", "ood": "OOD"}
    for role in roles if is_score else ():
        if results.sets(role):
            more += [mean(f"{roles[role]} {of}", role, name) for name, of in BESIDE[results.task].items()]
    for role in TESTED:
        if len(names := results.sets(role)) > 1:
            more += [Column(name, partial(set_cell, results, role, name, metric)) for name in names]
    if is_score and all("ece" in of for row in results.rows for of in row.id.values()):
        more.append(mean("ID ECE", "id", "ece"))
    return summary, more


def _costs(results: Results) -> dict[str, Callable[[Row], str | None]]:
    """Header -> text of a row, of the columns that any row has."""
    costs: dict[str, Callable[[Row], str | None]] = {
        "Memory": lambda row: None if row.step_bytes is None else f"{row.step_bytes / 2**20:.0f} MiB",
        "Epoch": lambda row: None if row.seconds_per_epoch is None else f"{row.seconds_per_epoch:.1f} s",
        "Time": lambda row: duration(row.seconds),
    }
    return {header: cost for header, cost in costs.items() if any(map(cost, results.rows))}


def results_table(results: Results, *, metric: str | None = None, width: int | None = None) -> Group:
    """Title, table and caption for the terminal: the best of each column in bold, other alphas dim beside.

    If the table is wider than the terminal's `width`, single sets are left out. `metric` is as for `grid`.
    """
    whole = grid(results, metric=metric)
    columns = list(range(len(whole.headers)))
    if width is not None and _width(whole, columns) > width:
        columns = [*range(whole.summary), columns[-1]]
        columns = columns if _width(whole, columns) <= width else columns[:-1]
    hidden = len(whole.headers) - len(columns)
    notes = [caption(results)]
    notes += [f"Dim: {words}." for words in _beside_words(results, whole)]
    notes += [f"{hidden} more columns in a wider terminal."] if hidden else []
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for index in columns:
        table.add_column(whole.headers[index], justify="left" if index == 0 else "right", no_wrap=True)
    for line in whole.lines:
        styles = ("bold" if i in line.best else "dim" if line.beside else "" for i in columns)
        cells = [Text(line.cells[i], style) for i, style in zip(columns, styles, strict=True)]
        if line.beside:
            cells[0] = Text(f"  {line.cells[0]}", style="dim")
        table.add_row(*cells)
    return framed(table, title=_title(results, metric), notes="\n".join(notes))


def framed(table: Table, *, title: str, notes: str = "") -> Group:
    """A table between its title and its notes, which may be wider than the table itself."""
    below = [Text(notes, style="table.caption")] if notes else []
    return Group(Text(title, style="table.title"), table, *below)


def results_markdown(results: Results, *, metric: str | None = None) -> str:
    """The same table in Markdown with aligned columns; other alphas in italics."""
    whole = grid(results, metric=metric)
    body = []
    for line in whole.lines:
        marks = ("**" if i in line.best else "*" if line.beside else "" for i in range(len(line.cells)))
        body.append([text and f"{mark}{text}{mark}" for text, mark in zip(line.cells, marks, strict=True)])
    widths = [max(map(len, column)) for column in zip(whole.headers, *body, strict=True)]

    def drawn(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return " | ".join([f"| {first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]) + " |"

    rule = f"| {'-' * widths[0]} | " + " | ".join("-" * (width - 1) + ":" for width in widths[1:]) + " |"
    table = "\n".join([drawn(whole.headers), rule, *map(drawn, body)])
    notes = [caption(results), *(f"In italics: {words}." for words in _beside_words(results, whole))]
    return f"{_title(results, metric)}\n\n{table}\n\n{' '.join(notes)} {kept_note(results)}\n"


def caption(results: Results, *, spread: bool = True) -> str:
    """Table caption: the seeds, whether the table has their spread, and how alpha was selected."""
    selection, seeds = results.selection, len(results.seeds)
    mean = f"{seeds} seeds, mean ± standard deviation" if spread else f"Mean of {seeds} seeds"
    origin = mean if seeds > 1 else f"Seed {results.seed}"
    where = f" ({selection.split}, n = {selection.n:,})" if selection.split else ""
    return f"{origin}; {selection.rule}{where}."


def parameters(count: int) -> str:
    """A number of parameters in words: 0, 950, 165 k, 20.5 M, 1.20 B."""
    if count < 1000:
        return str(count)
    unit, size = next((of for of in (("k", 1e3), ("M", 1e6)) if count < 999.5 * of[1]), ("B", 1e9))
    value = count / size
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def duration(seconds: float) -> str:
    """A time in words: 41 s, 12 min, 2.1 h."""
    if seconds <= 0:
        return ABSENT
    if seconds < 1:
        return "< 1 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def kept_note(results: Results) -> str:
    """The sentence under every table that says what "Kept" is, or why it was not measured."""
    names = results.sets("transfer")
    if names:
        listed = ", ".join(names)
        mean = f"the mean of {len(names)} sets ({listed})" if len(names) > 1 else listed
        return f"Kept: zero-shot {results.headline.label} on classes that were not trained on, {mean}."
    if entry_of(results.task).has_transfer:
        return "Kept: not measured; no transfer sets were given (data.transfer)."
    return f"Kept: not measured; {results.task} has no transfer sets."


def _beside_words(results: Results, whole: Grid) -> list[str]:
    """The alphas of the lines beside rows; empty if there are none."""
    paper = results.headline.paper_alpha
    alphas = {line.cells[1] for line in whole.lines if line.beside}
    words = [f"the paper's alpha, {paper:g}"] if f"{paper:g}" in alphas else []
    words += ["alpha 1, the fine-tuned model"] if "1" in alphas else []
    return [" and ".join(words)] if words else []


def _title(results: Results, metric: str | None) -> str:
    return f"{shown_as(results.task, metric or results.headline.metric).title}, {results.model}"


def _width(whole: Grid, columns: Sequence[int]) -> int:
    rows = (whole.headers, *(line.cells for line in whole.lines))
    widths = [max(len(row[i]) for row in rows) for i in columns]
    return sum(widths) + 3 * len(widths) + 2
