"""The table of a run: one row a method, in the terminal and in Markdown.

`grid` decides what stands in each cell; `results_table` and `results_markdown` only dress it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.evaluation import Headline
from radapter.report.curves import Json, curves
from radapter.report.metrics import BESIDE, Shown, headline_of, shown_as, task_of

_ABSENT = "-"
_MEANS = {"id": "id_mean", "ood": "ood_mean", "transfer": "kept", "harmonic": "harmonic_mean"}
_COSTS = {"Memory": "step_bytes", "Epoch": "seconds_per_epoch"}


@final
@dataclass(frozen=True)
class Line:
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
        summary: how many leading columns tell the story; those after them are single sets, calibration, time.
    """

    headers: tuple[str, ...]
    lines: tuple[Line, ...]
    summary: int


def grid(results: Json, *, metric: str | None = None) -> Grid:
    """What stands in each cell.

    Args:
        results: the whole of results.json.
        metric: any of the task's, see `report.metrics.METRICS`; None for the task's figure.

    Returns:
        Columns: method, alpha, trained parameters, ID mean, OOD mean, OOD against zero-shot, what was kept (the mean
        over transfer sets); then its harmonic mean with ID, the metrics of `BESIDE`, each set where a role has
        several, ID calibration error, memory of a step and seconds an epoch where known, seconds. A row has more
        lines at the alphas of `points_beside`.
    """
    headline = headline_of(results)
    metric = headline.metric if metric is None else metric
    shown, is_headline = shown_as(results, metric), metric == headline.metric
    rows = results["rows"]
    sets_of = {
        role: list(dict.fromkeys(name for row in rows for name in row.get(role, {})))
        for role in ("id", "ood", "transfer")
    }
    ood_sets, transfer_sets = sets_of["ood"], sets_of["transfer"]
    single = [(role, name) for role, names in sets_of.items() if len(names) > 1 for name in names]
    harmonic = bool(transfer_sets) and is_headline
    headers = ["Method", "Alpha", "Trained", "ID"]
    headers += ["OOD mean", "vs zero-shot"] if ood_sets else []
    headers += ["Kept"] if transfer_sets else []
    summary = len(headers)
    headers += ["H"] if harmonic else []
    roles = [("id", "ID"), *([("ood", "OOD")] if ood_sets else [])]
    beside = [
        (role, label, name, header)
        for role, label in roles
        for name, header in (BESIDE[task_of(results)] if is_headline else {}).items()
    ]
    headers += [f"{label} {header}" for _, label, _, header in beside]
    headers += [name for _, name in single]
    calibrated = is_headline and all("ece" in m for row in rows for m in row["id"].values())
    headers += ["ID ECE"] if calibrated else []
    costs = [name for name, key in _COSTS.items() if any(row.get(key) is not None for row in rows)]
    headers += [*costs, "Time"]

    def mean(row: Json, role: str, of: str = metric) -> float | None:
        """The row's own mean of the task's figure, or the mean of another metric over its sets."""
        if of == headline.metric:
            value: float | None = row.get(_MEANS[role])
            return value
        known = [m[of] for m in row.get(role, {}).values() if of in m]
        return fmean(known) if known else None

    def cell(row: Json, role: str, of: str = metric) -> tuple[str, float | None]:
        spread = row.get(f"{_MEANS[role]}_std") if of == headline.metric else None
        return _with_spread(mean(row, role, of), spread, shown_as(results, of))

    reference = next((mean(row, "ood") for row in rows if row["method"] == "zero-shot"), None)

    def numbers(row: Json) -> list[tuple[str, float | None]]:
        """Text and value of the columns after Trained; a value of None does not compete."""
        ood = mean(row, "ood")
        columns = [cell(row, "id")]
        if ood_sets:
            gain = (
                None if ood is None or reference is None or row["method"] == "zero-shot" else ood - reference
            )
            columns.append(cell(row, "ood"))
            columns.append((_ABSENT if gain is None else shown.text(gain, sign=True), None))
        columns += [cell(row, "transfer")] if transfer_sets else []
        columns += [cell(row, "harmonic")] if harmonic else []
        columns += [cell(row, role, name) for role, _, name, _ in beside]
        columns += [of_set(row.get(role, {}).get(name, {}), metric, headline, shown) for role, name in single]
        columns += [cell(row, "id", "ece")] if calibrated else []
        return columns

    contest = [numbers(row) for row in rows]
    best = [_best([columns[i][1] for columns in contest]) for i in range(len(contest[0]) if contest else 0)]
    lines = []
    for index, row in enumerate(rows):
        head = (row["method"], _alpha(row), parameters(row["trained_parameters"]))
        spent = (_cost(name, row.get(_COSTS[name])) for name in costs)
        cells = (*head, *(text for text, _ in contest[index]), *spent, duration(row["seconds"]))
        lines.append(
            Line(cells, frozenset(3 + i for i, winners in enumerate(best) if index in winners), False)
        )
        for point in points_beside(results, row):
            texts = (text for text, _ in numbers(point))
            empty = ("",) * (len(costs) + 1)
            lines.append(Line((row["method"], f"{point['alpha']:g}", "", *texts, *empty), frozenset(), True))
    return Grid(tuple(headers), tuple(lines), summary)


def results_table(
    results: Json,
    *,
    metric: str | None = None,
    width: int | None = None,
) -> Group:
    """Title, table and caption for the terminal: the best of each column in bold, other alphas dim beside.

    Args:
        results: the whole of results.json.
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


def results_markdown(results: Json, *, metric: str | None = None) -> str:
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


def caption(results: Json, *, spread: bool = True) -> str:
    """Table caption: the seeds, whether the table has their spread, and how alpha was selected."""
    selection = results.get("selection") or {}
    seeds = max((row.get("seeds") or 1 for row in results["rows"]), default=1)
    mean = f"{seeds} seeds, mean ± standard deviation" if spread else f"Mean of {seeds} seeds"
    origin = mean if seeds > 1 else f"Seed {results['seed']}"
    chosen = f"; {selection['rule']}" if selection.get("rule") else ""
    where = f" ({selection['split']}, n = {selection['n']:,})" if selection.get("split") else ""
    return f"{origin}{chosen}{where}."


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
        return _ABSENT
    if seconds < 1:
        return "< 1 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def points_beside(results: Json, row: Json) -> list[Json]:
    """The points of a row's curve that are shown beside it: alpha 1, and of a single method the paper's alpha."""
    if row["alpha"] == 1:
        return []
    trained = sum(other["method"] != "zero-shot" for other in results["rows"])
    alphas = (headline_of(results).paper_alpha, 1.0) if trained == 1 else (1.0,)
    points = (at_alpha(results, row, alpha) for alpha in alphas if alpha != row["alpha"])
    return [point for point in points if point is not None]


def at_alpha(results: Json, row: Json, alpha: float) -> Json | None:
    """The point of a row's curve at an alpha of the sweep; None where there is none."""
    for curve in curves(results):
        if any(standing["method"] == row["method"] for standing in curve.rows):
            return curve.at(alpha)
    return None


def kept_note(results: Json) -> str:
    """What "Kept" is, or why nothing is said of it; every table of a training has this sentence."""
    names = list(dict.fromkeys(name for row in results["rows"] for name in row.get("transfer", {})))
    if names:
        listed = ", ".join(names)
        mean = f"the mean of {len(names)} sets ({listed})" if len(names) > 1 else listed
        return f"Kept: zero-shot {headline_of(results).label} on classes that were not trained on, {mean}."
    if task_of(results) == "classification":
        return "Kept: not measured; no transfer sets were given (data.transfer)."
    return f"Kept: not measured; {task_of(results)} has no transfer sets."


def of_set(metrics: Json, metric: str, headline: Headline, shown: Shown) -> tuple[str, float | None]:
    """Text, with the spread over seeds where known, and value of a metric of one set; None does not compete.

    The task's figure is told as a share of its largest value.
    """
    if metric not in metrics:
        return _ABSENT, None
    most = headline.most if metric == headline.metric else 1.0
    spread = metrics.get(f"{metric}_std")
    return _with_spread(metrics[metric] / most, None if spread is None else spread / most, shown)


def _beside_words(results: Json, whole: Grid) -> list[str]:
    """What the lines beside rows are at, where there are any."""
    paper = headline_of(results).paper_alpha
    alphas = {line.cells[1] for line in whole.lines if line.beside}
    words = [f"the paper's alpha, {paper:g}"] if f"{paper:g}" in alphas else []
    words += ["alpha 1, the fine-tuned model"] if "1" in alphas else []
    return [" and ".join(words)] if words else []


def _cost(name: str, value: float | None) -> str:
    if value is None:
        return _ABSENT
    return f"{value / 2**20:.0f} MiB" if name == "Memory" else f"{value:.1f} s"


def _title(results: Json, metric: str | None) -> str:
    return f"{shown_as(results, metric or headline_of(results).metric).title}, {results['model']}"


def _with_spread(value: float | None, spread: float | None, shown: Shown) -> tuple[str, float | None]:
    if value is None:
        return _ABSENT, None
    text = shown.text(value) + ("" if spread is None else f" ± {shown.text(spread)}")
    return text, shown.score(value)


def _best(scores: Sequence[float | None]) -> frozenset[int]:
    """Which of two or more scores are the highest."""
    present = [score for score in scores if score is not None]
    if len(present) < 2:
        return frozenset()
    return frozenset(i for i, score in enumerate(scores) if score == max(present))


def _alpha(row: Json) -> str:
    return _ABSENT if row["method"] == "zero-shot" else f"{row['alpha']:.2g}"


def _measure(whole: Grid, columns: Sequence[int]) -> int:
    widths = [
        max(len(text[i]) for text in (whole.headers, *(line.cells for line in whole.lines))) for i in columns
    ]
    return sum(widths) + 3 * len(widths) + 2


def _markdown_cell(text: str, *, bold: bool, italic: bool) -> str:
    if not text:
        return text
    return f"**{text}**" if bold else f"*{text}*" if italic else text
