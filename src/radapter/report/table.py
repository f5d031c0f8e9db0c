"""The table of a run: one row a method, in the terminal and in Markdown.

`grid` decides the text of each cell; `results_table` and `results_markdown` only format it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.report.cells import ABSENT, Cell, Column, best_of, cell, lines_of, mean_cell, set_cell
from radapter.report.metrics import BESIDE, shown_as
from radapter.runs.results import Figures, Results, Row
from radapter.task_list import entry_of
from radapter.tasks.suite import TESTED, Role


@final
@dataclass(frozen=True)
class GridLine:
    """One line of the table.

    Attributes:
        cells: text per column.
        best: columns in which no other method is better.
        beside: whether it is shown for comparison, at another alpha than its row's, and does not compete.
    """

    cells: tuple[str, ...]
    best: frozenset[int]
    beside: bool


@final
@dataclass(frozen=True)
class Grid:
    """The table's text.

    Attributes:
        headers: per column.
        lines: top to bottom.
        summary: how many leading columns a narrow terminal shows; single sets, calibration and time follow.
    """

    headers: tuple[str, ...]
    lines: tuple[GridLine, ...]
    summary: int


_HEAD = ("Method", "Alpha", "Trained")


def grid(results: Results, *, metric: str | None = None) -> Grid:
    """The text of each cell.

    Args:
        results: of one seed or of several.
        metric: any of the task's, see `report.metrics.METRICS`; None for the task's figure.

    Returns:
        Columns: method, alpha, trained parameters, ID mean, OOD mean, OOD against zero-shot, what was kept (the mean
        over transfer sets); then its harmonic mean with ID, the metrics of `BESIDE`, each set where a role has
        several, ID calibration error, memory of a step and seconds an epoch where known, seconds. A row has more
        lines at the alphas of `points_beside`.
    """
    metric = results.headline.metric if metric is None else metric
    summary, more = _summary(results, metric), _more(results, metric)
    columns, costs = [*summary, *more], _costs(results)
    contest = [best_of([column.cell(row) for row in results.rows]) for column in columns]
    methods = [row.method for row in results.rows]
    lines = []
    for row, alpha, figures, beside in lines_of(results):
        texts = [row.method, alpha, "" if beside else parameters(row.trained_parameters)]
        texts += [column.cell(figures).text for column in columns]
        texts += ["" if beside else cost(row) for cost in costs.values()]
        wins = (i for i, best in enumerate(contest) if methods.index(row.method) in best and not beside)
        lines.append(GridLine(tuple(texts), frozenset(len(_HEAD) + i for i in wins), beside))
    headers = (*_HEAD, *(column.header for column in columns), *costs)
    return Grid(headers, tuple(lines), len(_HEAD) + len(summary))


def _summary(results: Results, metric: str) -> list[Column]:
    """ID, OOD, OOD against zero-shot, Kept."""
    shown = shown_as(results.task, metric)

    def ood(figures: Figures) -> float | None:
        if metric == results.headline.metric:
            return figures.ood_mean
        return figures.average("ood", metric)

    reference = next((ood(row) for row in results.rows if row.method == "zero-shot"), None)

    def gain(figures: Figures) -> Cell:
        mean = ood(figures)
        if mean is None or reference is None or figures.method == "zero-shot":
            return Cell(ABSENT)
        return Cell(shown.text(mean - reference, sign=True))

    columns = [Column("ID", partial(mean_cell, results, "id", metric))]
    if results.sets("ood"):
        columns += [
            Column("OOD mean", partial(mean_cell, results, "ood", metric)),
            Column("vs zero-shot", gain),
        ]
    return columns + (
        [Column("Kept", partial(mean_cell, results, "transfer", metric))] if results.sets("transfer") else []
    )


def _more(results: Results, metric: str) -> list[Column]:
    """H, the metrics of `BESIDE`, single sets, calibration."""
    is_headline = metric == results.headline.metric
    columns = []
    if is_headline and results.sets("transfer"):
        shown = shown_as(results.task, metric)
        columns.append(Column("H", lambda figures: cell(figures.mean("harmonic_mean"), shown)))
    roles: dict[Role, str] = {"id": "ID", "ood": "OOD"}
    columns += [
        Column(f"{label} {header}", partial(mean_cell, results, role, name))
        for role, label in roles.items()
        if is_headline and results.sets(role)
        for name, header in BESIDE[results.task].items()
    ]
    columns += [
        Column(name, partial(set_cell, results, role, name, metric))
        for role in TESTED
        if len(results.sets(role)) > 1
        for name in results.sets(role)
    ]
    if is_headline and all("ece" in of for row in results.rows for of in row.id.values()):
        columns.append(Column("ID ECE", partial(mean_cell, results, "id", "ece")))
    return columns


def _costs(results: Results) -> dict[str, Callable[[Row], str]]:
    """Header -> text of a row."""
    found: dict[str, Callable[[Row], str]] = {}
    if any(row.step_bytes is not None for row in results.rows):
        found["Memory"] = lambda row: (
            ABSENT if row.step_bytes is None else f"{row.step_bytes / 2**20:.0f} MiB"
        )
    if any(row.seconds_per_epoch is not None for row in results.rows):
        found["Epoch"] = lambda row: (
            ABSENT if row.seconds_per_epoch is None else f"{row.seconds_per_epoch:.1f} s"
        )
    return found | {"Time": lambda row: duration(row.seconds)}


def results_table(
    results: Results,
    *,
    metric: str | None = None,
    width: int | None = None,
) -> Group:
    """Title, table and caption for the terminal: the best of each column in bold, other alphas dim beside.

    Args:
        results: of one seed or of several.
        metric: as for `grid`.
        width: columns of the terminal; where the table is wider, single sets are left out. None keeps them.
    """
    whole = grid(results, metric=metric)
    columns = list(range(len(whole.headers)))
    if width is not None and _measure(whole, columns) > width:
        columns = [*range(whole.summary), columns[-1]]
        columns = columns if _measure(whole, columns) <= width else columns[:-1]
    hidden = len(whole.headers) - len(columns)
    notes = [caption(results)]
    notes += [f"Dim: {words}." for words in _beside_words(results, whole)]
    notes += [f"{hidden} more columns in a wider terminal."] if hidden else []
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    for index in columns:
        table.add_column(whole.headers[index], justify="left" if index == 0 else "right", no_wrap=True)
    for line in whole.lines:
        cells = [
            Text(line.cells[i], style="bold" if i in line.best else "dim" if line.beside else "")
            for i in columns
        ]
        if line.beside:
            cells[0] = Text(f"  {line.cells[0]}", style="dim")
        table.add_row(*cells)
    return framed(table, title=_title(results, metric), notes="\n".join(notes))


def framed(table: Table, *, title: str, notes: str = "") -> Group:
    """A table between its title and its notes, which may be wider than the table itself."""
    below = [Text(notes, style="table.caption")] if notes else []
    return Group(Text(title, style="table.title"), table, *below)


def results_markdown(results: Results, *, metric: str | None = None) -> str:
    """The same table in Markdown, aligned to be read as it is; other alphas in italics."""
    whole = grid(results, metric=metric)
    body = [
        [_markdown_cell(cell, bold=i in line.best, italic=line.beside) for i, cell in enumerate(line.cells)]
        for line in whole.lines
    ]
    widths = [max(map(len, column)) for column in zip(whole.headers, *body, strict=True)]

    def drawn(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return " | ".join([f"| {first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]) + " |"

    rule = f"| {'-' * widths[0]} | " + " | ".join("-" * (width - 1) + ":" for width in widths[1:]) + " |"
    table = "\n".join([drawn(whole.headers), rule, *map(drawn, body)])
    title = _title(results, metric)
    italics = "".join(f" In italics: {words}." for words in _beside_words(results, whole))
    return f"{title}\n\n{table}\n\n{caption(results)}{italics} {kept_note(results)}\n"


def caption(results: Results, *, spread: bool = True) -> str:
    """Table caption: the seeds, whether the table has their spread, and how alpha was selected."""
    selection, seeds = results.selection, len(results.seeds)
    mean = f"{seeds} seeds, mean ± standard deviation" if spread else f"Mean of {seeds} seeds"
    origin = mean if seeds > 1 else f"Seed {results.seed}"
    where = f" ({selection.split}, n = {selection.n:,})" if selection.split else ""
    return f"{origin}; {selection.rule}{where}."


def parameters(count: int) -> str:
    """A number of parameters as people say it: 0, 950, 165 k, 20.5 M, 1.20 B."""
    if count < 1000:
        return str(count)
    for unit, size in (("k", 1e3), ("M", 1e6), ("B", 1e9)):
        if count < 999.5 * size:
            value = count / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{count / 1e9:.0f} B"


def duration(seconds: float) -> str:
    """A time as people say it: 41 s, 12 min, 2.1 h."""
    if seconds <= 0:
        return ABSENT
    if seconds < 1:
        return "< 1 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def kept_note(results: Results) -> str:
    """What "Kept" is, or why it was not measured; every table of a training has this sentence."""
    names = results.sets("transfer")
    if names:
        listed = ", ".join(names)
        mean = f"the mean of {len(names)} sets ({listed})" if len(names) > 1 else listed
        return f"Kept: zero-shot {results.headline.label} on classes that were not trained on, {mean}."
    if entry_of(results.task).has_transfer:
        return "Kept: not measured; no transfer sets were given (data.transfer)."
    return f"Kept: not measured; {results.task} has no transfer sets."


def _beside_words(results: Results, whole: Grid) -> list[str]:
    """The alphas of the lines beside rows, where there are any."""
    paper = results.headline.paper_alpha
    alphas = {line.cells[1] for line in whole.lines if line.beside}
    words = [f"the paper's alpha, {paper:g}"] if f"{paper:g}" in alphas else []
    words += ["alpha 1, the fine-tuned model"] if "1" in alphas else []
    return [" and ".join(words)] if words else []


def _title(results: Results, metric: str | None) -> str:
    return f"{shown_as(results.task, metric or results.headline.metric).title}, {results.model}"


def _measure(whole: Grid, columns: Sequence[int]) -> int:
    widths = [
        max(len(text[i]) for text in (whole.headers, *(line.cells for line in whole.lines))) for i in columns
    ]
    return sum(widths) + 3 * len(widths) + 2


def _markdown_cell(text: str, *, bold: bool, italic: bool) -> str:
    if not text:
        return text
    return f"**{text}**" if bold else f"*{text}*" if italic else text
