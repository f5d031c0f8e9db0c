"""The table of a comparison: OOD at fixed ID levels first, then ID, OOD and Kept at the chosen alpha and at alpha 1.

Two methods at their chosen alphas are two points that may trade ID against OOD; at one ID they can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.protocol.reading_levels import sets_levels
from radapter.report.curves import Json
from radapter.report.metrics import headline_of
from radapter.report.table import at_alpha, caption, framed, kept_note, parameters

NAME = "OOD at fixed ID levels"
NOT_REACHED = "not reached"
_ABSENT, _OPEN, _HYPERVOLUME = "-", "open", "Hypervolume"
_WIDE = (_HYPERVOLUME, "Trained")
"""Columns that a terminal of 80 columns has no place for."""


@final
@dataclass(frozen=True)
class _Column:
    """One column: what it is called in Markdown and, shorter, in the terminal, and its cells.

    `scores` are None where a cell does not compete for the best of the column.
    """

    header: str
    short: str
    cells: tuple[str, ...]
    scores: tuple[float | None, ...]


def levels_table(results: Json) -> Group:
    """Title, table and caption for a terminal of 80 columns, means only; the best at each level in bold.

    Args:
        results: The whole of results.json, with `levels`.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("Method", overflow="fold")
    columns = [column for column in _columns(results, spread=False) if column.header not in _WIDE]
    for column in columns:
        table.add_column(column.short, justify="right", no_wrap=True)
    winners = [_best(column.scores) for column in columns]
    for number, row in enumerate(results["rows"]):
        cells = (
            Text(column.cells[number].replace(NOT_REACHED, _ABSENT), style="bold" if number in best else "")
            for column, best in zip(columns, winners, strict=True)
        )
        table.add_row(row["method"], *cells)
    notes = [f"{_ABSENT}: {NOT_REACHED}."] if results["levels"]["id"] else []
    notes += [_levels_of(results), caption(results, spread=False)]
    notes.append(f"{' and '.join(_WIDE)} are in results.md.")
    return framed(table, title=_title(results), notes=" ".join(notes))


def levels_markdown(results: Json) -> str:
    """The table in Markdown, with the spread over seeds and the intervals; the best at each level in bold.

    Args:
        results: The whole of results.json, with `levels`.
    """
    columns = _columns(results, spread=True)
    winners = [_best(column.scores) for column in columns]
    lines = [
        "| Method | " + " | ".join(column.header for column in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for number, row in enumerate(results["rows"]):
        cells = (
            f"**{column.cells[number]}**" if number in best else column.cells[number]
            for column, best in zip(columns, winners, strict=True)
        )
        lines.append(f"| {row['method']} | " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    return f"{_title(results)}\n\n{table}\n\n{levels_note(results)} {caption(results)} {kept_note(results)}\n"


def differences_markdown(results: Json) -> str:
    """Each method's OOD at each level minus that of one of them, seed by seed; empty where there is no such method.

    Args:
        results: The whole of results.json, with `levels`.
    """
    levels = results["levels"]
    if levels["against"] is None or not levels["id"]:
        return ""
    lines = [
        f"{NAME}: the difference from {levels['against']}, in points of {headline_of(results).label}.",
        "",
        "| Method | " + " | ".join(_level_headers(levels)) + " |",
        "|---|" + "---:|" * len(levels["id"]),
    ]
    for name, of in levels["methods"].items():
        if of["difference"] is not None:
            cells = (_figure(figure, spread=True, sign=True) for figure in of["difference"])
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return (
        "\n".join(lines)
        + f'\n\n"{NOT_REACHED}": {levels["against"]} or the method does not reach the level.\n'
    )


def levels_note(results: Json) -> str:
    """Where the levels come from, and what the brackets and the hypervolume are."""
    levels = results["levels"]
    sentences = [_levels_of(results)]
    if levels["resamples"] is not None and levels["id"]:
        sentences.append(
            f"Brackets give the 95 % interval of a paired bootstrap over test images ({levels['resamples']:,} "
            f"resamples); an end is {_OPEN} if too many resamples do not reach the level."
        )
    id_, ood = (100 * value for value in levels["reference"])
    sentences.append(
        f"{_HYPERVOLUME} is the area that the alpha curve dominates beyond the reference point ({id_:.1f}, "
        f"{ood:.1f}), in % of the area of a perfect model."
    )
    return " ".join(sentences)


def _levels_of(results: Json) -> str:
    levels, label = results["levels"], headline_of(results).label
    *shares, last = (f"{100 * fraction:g}" for fraction in levels["fractions"])
    zero_shot = f"zero-shot ID ({100 * levels['zero_shot_id']:.1f})"
    if not levels["id"]:
        return f"{NAME}: there are none, since no method gains {label} over {zero_shot}."
    return (
        f"The levels are {zero_shot} plus {', '.join(shares)} and {last} % of the best ID gain among "
        f"{', '.join(sets_levels(results['task']))} ({levels['best']}, {100 * levels['best_id']:.1f})."
    )


def _columns(results: Json, *, spread: bool) -> list[_Column]:
    rows, levels = results["rows"], results["levels"]
    methods = levels["methods"]
    columns = [
        _Column("Alpha", "Alpha", tuple(_alpha(row) for row in rows), (None,) * len(rows)),
    ]
    for number, (header, level) in enumerate(zip(_level_headers(levels), levels["id"], strict=True)):
        figures = [
            methods[row["method"]]["ood"][number] if row["method"] in methods else None for row in rows
        ]
        columns.append(_of_figures(header, f"OOD\n@{100 * level:.1f}", figures, spread=spread))
    volumes = [methods[row["method"]]["hypervolume"] if row["method"] in methods else None for row in rows]
    columns.append(_of_figures(_HYPERVOLUME, _HYPERVOLUME, volumes, spread=spread))
    roles = [("ID", "id_mean"), ("OOD", "ood_mean")]
    roles += [("Kept", "kept")] if any(row.get("kept") is not None for row in rows) else []
    for header, key in roles:
        cells = tuple(_mean(row, key, spread=spread) for row in rows)
        columns.append(_Column(header, header, cells, (None,) * len(rows)))
    ends = [None if row["method"] == "zero-shot" else at_alpha(results, row, 1.0) for row in rows]
    at_end = roles if spread else roles[:2]
    cells = tuple(
        "" if end is None else " / ".join(_mean(end, key, spread=False) for _, key in at_end) for end in ends
    )
    names = " / ".join(header for header, _ in at_end)
    columns.append(_Column(f"Alpha 1: {names}", f"Alpha 1:\n{names}", cells, (None,) * len(rows)))
    trained = tuple(parameters(row["trained_parameters"]) for row in rows)
    return [*columns, _Column("Trained", "Trained", trained, (None,) * len(rows))]


def _of_figures(header: str, short: str, figures: Sequence[Json | None], *, spread: bool) -> _Column:
    cells = tuple("" if figure is None else _figure(figure, spread=spread) for figure in figures)
    scores = tuple(
        None if figure is None or figure["mean"] is None else round(100 * figure["mean"], 1)
        for figure in figures
    )
    return _Column(header, short, cells, scores)


def _figure(figure: Json, *, spread: bool, sign: bool = False) -> str:
    """Such as "64.3 ± 0.7 [63.0, 65.5]", with "(2 of 3)" where not every seed reaches the level."""
    if figure["mean"] is None:
        return NOT_REACHED
    form = f"{'+' if sign else ''}.1f"
    text = f"{100 * figure['mean']:{form}}"
    if not spread:
        return text
    text += "" if figure["std"] is None else f" ± {100 * figure['std']:.1f}"
    interval = figure["interval"]
    if interval is not None:
        ends = (
            _OPEN if end is None else f"{100 * end:{form}}" for end in (interval["low"], interval["high"])
        )
        text += f" [{', '.join(ends)}]"
    reached = sum(value is not None for value in figure["each"])
    return text if reached == len(figure["each"]) else f"{text} ({reached} of {len(figure['each'])})"


def _level_headers(levels: Json) -> list[str]:
    return [f"OOD at ID {100 * level:.1f}" for level in levels["id"]]


def _mean(row: Json, key: str, *, spread: bool) -> str:
    if row.get(key) is None:
        return _ABSENT
    std = row.get(f"{key}_std") if spread else None
    return f"{100 * row[key]:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


def _alpha(row: Json) -> str:
    return "" if row["method"] == "zero-shot" else f"{row['alpha']:.2g}"


def _best(scores: Sequence[float | None]) -> frozenset[int]:
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        return frozenset()
    return frozenset(number for number, score in enumerate(scores) if score == max(known))


def _title(results: Json) -> str:
    return f"{NAME}: {headline_of(results).label} in %, {results['model']}"
