"""The table of a run: one row a method, in the terminal and in Markdown.

`grid` decides what stands in each cell; `results_table` and `results_markdown` only dress it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import final

from rich import box
from rich.table import Table
from rich.text import Text

from radapter.report.curves import Json, curves

PAPER_ALPHA = 0.5
LOWER_IS_BETTER = frozenset({"ece", "nll", "brier"})
METRIC_NAMES = {
    "top1": "Top-1 accuracy in %",
    "top5": "Top-5 accuracy in %",
    "mean_per_class": "Mean per-class accuracy in %",
    "macro_f1": "Macro F1 in %",
    "worst_group": "Worst-group accuracy in %",
    "agreement": "Agreement with zero-shot in %",
    "ece": "Expected calibration error in %",
    "brier": "Brier score in %",
    "nll": "Negative log-likelihood in nats",
}
"""What a table of each metric is called."""

_ABSENT = "-"
_COSTS = {"Memory": "step_bytes", "Epoch": "seconds_per_epoch"}


@final
@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        cells: text per column.
        best: columns in which no other method is better.
        beside: whether it is shown for comparison, at the paper's alpha, and does not compete.
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


def grid(results: Json, *, metric: str = "top1", interpolated: Collection[str] | None = None) -> Grid:
    """What stands in each cell.

    Args:
        results: the whole of results.json.
        metric: any of `evaluation.classification_metrics`; all but nll are shown in percent.
        interpolated: methods that get a second line at the paper's alpha of 0.5; None for those whose row
            stands below alpha 1.

    Returns:
        Columns: method, alpha, trained parameters, ID mean, OOD mean, OOD against zero-shot, the mean over sets
        with other classes (transfer) and, of top-1, its harmonic mean with ID; then each set where a role has
        several, ID calibration error, memory of a step and seconds an epoch where known, seconds.
    """
    rows = results["rows"]
    sets_of = {
        role: list(dict.fromkeys(name for row in rows for name in row.get(role, {})))
        for role in ("id", "ood", "transfer")
    }
    ood_sets, transfer_sets = sets_of["ood"], sets_of["transfer"]
    single = [(role, name) for role, names in sets_of.items() if len(names) > 1 for name in names]
    harmonic = bool(transfer_sets) and metric == "top1"
    headers = ["Method", "Alpha", "Trained", "ID"]
    headers += ["OOD mean", "vs zero-shot"] if ood_sets else []
    headers += ["Transfer mean"] if transfer_sets else []
    headers += ["H"] if harmonic else []
    summary = len(headers)
    headers += [name for _, name in single]
    calibrated = metric == "top1" and all("ece" in m for row in rows for m in row["id"].values())
    headers += ["ID ECE"] if calibrated else []
    costs = [name for name, key in _COSTS.items() if any(row.get(key) is not None for row in rows)]
    headers += [*costs, "Time"]

    reference = next((_mean(row, "ood", metric) for row in rows if row["method"] == "zero-shot"), None)

    def numbers(row: Json) -> list[tuple[str, float | None]]:
        """Text and value of the columns after Trained; a value of None does not compete."""
        ood = _mean(row, "ood", metric)
        columns = [_with_spread(row, "id", metric)]
        if ood_sets:
            gain = (
                None if ood is None or reference is None or row["method"] == "zero-shot" else ood - reference
            )
            columns.append(_with_spread(row, "ood", metric))
            columns.append((_ABSENT if gain is None else _shown(gain, metric, sign=True), None))
        columns += [_with_spread(row, "transfer", metric)] if transfer_sets else []
        columns += [_with_spread(row, "harmonic", metric)] if harmonic else []
        columns += [_of_set(row.get(role, {}).get(name, {}), metric) for role, name in single]
        if calibrated:
            ece = _mean(row, "id", "ece")
            columns.append((_ABSENT, None) if ece is None else (_shown(ece, "ece"), -_rounded(ece, "ece")))
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
        point = _beside(results, row, interpolated)
        if point is not None:
            texts = (text for text, _ in numbers(point))
            empty = ("",) * (len(costs) + 1)
            lines.append(Line((row["method"], f"{PAPER_ALPHA:g}", "", *texts, *empty), frozenset(), True))
    return Grid(tuple(headers), tuple(lines), summary)


def results_table(
    results: Json,
    *,
    metric: str = "top1",
    interpolated: Collection[str] | None = None,
    width: int | None = None,
) -> Table:
    """The table for the terminal: the best of each column in bold, the paper's alpha dim beside.

    Args:
        results: the whole of results.json.
        metric: as for `grid`.
        interpolated: as for `grid`.
        width: columns of the terminal; where the table is wider, single sets are left out. None keeps them.
    """
    whole = grid(results, metric=metric, interpolated=interpolated)
    columns = list(range(len(whole.headers)))
    if width is not None and _measure(whole, columns) > width:
        columns = [*range(whole.summary), columns[-1]]
    hidden = len(whole.headers) - len(columns)
    notes = [caption(results)]
    notes += [f"Dim: the paper's alpha, {PAPER_ALPHA:g}."] if any(line.beside for line in whole.lines) else []
    notes += [f"{hidden} more columns in a wider terminal."] if hidden else []
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        title=f"{METRIC_NAMES.get(metric, metric)}, {results['model']}",
        caption="\n".join(notes),
        caption_justify="left",
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
    return table


def results_markdown(
    results: Json, *, metric: str = "top1", interpolated: Collection[str] | None = None
) -> str:
    """The same table in Markdown, aligned to be read as it is; the paper's alpha in italics."""
    whole = grid(results, metric=metric, interpolated=interpolated)
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
    title = f"{METRIC_NAMES.get(metric, metric)}, {results['model']}"
    italics = (
        f" In italics: the paper's alpha, {PAPER_ALPHA:g}."
        if any(line.beside for line in whole.lines)
        else ""
    )
    return f"{title}\n\n{table}\n\n{caption(results)}{italics}\n"


def caption(results: Json) -> str:
    """Whence the figures: seed or seeds, and what chose alpha."""
    selection = results.get("selection") or {}
    seeds = max((row.get("seeds") or 1 for row in results["rows"]), default=1)
    origin = f"{seeds} seeds, mean ± standard deviation" if seeds > 1 else f"Seed {results['seed']}"
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


def _cost(name: str, value: float | None) -> str:
    if value is None:
        return _ABSENT
    return f"{value / 2**20:.0f} MiB" if name == "Memory" else f"{value:.1f} s"


def _beside(results: Json, row: Json, interpolated: Collection[str] | None) -> Json | None:
    """The point of a row's curve at the paper's alpha, where it is to be shown."""
    wanted = row["alpha"] < 1 if interpolated is None else row["method"] in interpolated
    if not wanted or row["alpha"] == PAPER_ALPHA:
        return None
    for curve in curves(results):
        if any(standing["method"] == row["method"] for standing in curve.rows):
            return curve.at(PAPER_ALPHA)
    return None


def _mean(row: Json, role: str, metric: str) -> float | None:
    """The row's own mean of top-1, or the mean of another metric over its sets."""
    if metric == "top1":
        value: float | None = row.get(f"{role}_mean")
        return value
    known = [m[metric] for m in row.get(role, {}).values() if metric in m]
    return fmean(known) if known else None


def _with_spread(row: Json, role: str, metric: str) -> tuple[str, float | None]:
    mean = _mean(row, role, metric)
    if mean is None:
        return _ABSENT, None
    spread = row.get(f"{role}_mean_std") if metric == "top1" else None
    text = _shown(mean, metric) + ("" if spread is None else f" ± {_shown(spread, metric)}")
    return text, _score(mean, metric)


def _of_set(metrics: Json, metric: str) -> tuple[str, float | None]:
    if metric not in metrics:
        return _ABSENT, None
    spread = metrics.get(f"{metric}_std")
    text = _shown(metrics[metric], metric) + ("" if spread is None else f" ± {_shown(spread, metric)}")
    return text, _score(metrics[metric], metric)


def _score(value: float, metric: str) -> float:
    """More is better; what looks equal in the table is equal."""
    return -_rounded(value, metric) if metric in LOWER_IS_BETTER else _rounded(value, metric)


def _rounded(value: float, metric: str) -> float:
    return round(value, 2) if metric == "nll" else round(100 * value, 1)


def _shown(value: float, metric: str, *, sign: bool = False) -> str:
    number = _rounded(value, metric) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{number:{'+' if sign else ''}.{2 if metric == 'nll' else 1}f}"


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
