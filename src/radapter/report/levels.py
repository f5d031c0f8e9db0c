"""The table of a comparison: OOD at fixed ID levels first, then ID, OOD and Kept at the chosen alpha and at alpha 1.

Two methods at their chosen alphas are two points that may trade ID against OOD; at one ID they can be compared.
"""

from typing import NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.comparison.levels import sets_levels
from radapter.report.cells import ABSENT, PERCENT, Cell, alpha_of, best_of, cell, markdown
from radapter.report.curves import at_alpha
from radapter.report.table import caption, framed, kept_note, parameters
from radapter.runs.results import Figure, Figures, Levels, Mean, Results, Value

NAME = "OOD at fixed ID levels"
NOT_REACHED = "not reached"
_OPEN, _HYPERVOLUME = "open", "Hypervolume"
_WIDE = (_HYPERVOLUME, "Trained")
"""Columns that do not fit a terminal of 80 columns."""


class _Column(NamedTuple):
    """One column: its header in Markdown, a shorter one for the terminal, and a cell for each row."""

    header: str
    short: str
    cells: list[Cell]


def levels_table(results: Results) -> Group:
    """Title, table and caption for a terminal of 80 columns, means only; the best at each level in bold.

    Args:
        results: with levels.
    """
    assert results.levels is not None
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("Method", overflow="fold")
    columns = [
        column for column in _columns(results, results.levels, spread=False) if column.header not in _WIDE
    ]
    for column in columns:
        table.add_column(column.short, justify="right", no_wrap=True)
    winners = [best_of(column.cells) for column in columns]
    for number, row in enumerate(results.rows):
        cells = (
            Text(
                column.cells[number].text.replace(NOT_REACHED, ABSENT), style="bold" if number in best else ""
            )
            for column, best in zip(columns, winners, strict=True)
        )
        table.add_row(row.method, *cells)
    notes = [f"{ABSENT}: {NOT_REACHED}."] if results.levels.id else []
    notes += [_levels_of(results, results.levels), caption(results, spread=False)]
    notes.append(f"{' and '.join(_WIDE)} are in results.md.")
    return framed(table, title=_title(results), notes=" ".join(notes))


def levels_markdown(results: Results) -> str:
    """The table in Markdown, with the spread over seeds and the intervals; the best at each level in bold.

    Returns:
        An empty text where methods were not compared.
    """
    if results.levels is None:
        return ""
    columns = _columns(results, results.levels, spread=True)
    winners = [best_of(column.cells) for column in columns]
    lines = []
    for number, row in enumerate(results.rows):
        texts = (column.cells[number].text for column in columns)
        bold = (f"**{text}**" if number in best else text for text, best in zip(texts, winners, strict=True))
        lines.append([row.method, *bold])
    table = markdown(["Method", *(column.header for column in columns)], lines)
    notes = f"{_note(results, results.levels)} {caption(results)} {kept_note(results)}"
    return f"{_title(results)}\n\n{table}\n\n{notes}\n"


def differences_markdown(results: Results) -> str:
    """Each method's OOD at each level minus that of one of them, seed by seed; empty without such a method."""
    levels = results.levels
    if levels is None or levels.against is None or not levels.id:
        return ""
    lines = [
        [name, *(_figure(figure, spread=True, sign=True).text for figure in of.difference)]
        for name, of in levels.methods.items()
        if of.difference is not None
    ]
    table = markdown(["Method", *map(_header, levels.id)], lines)
    return (
        f"{NAME}: the difference from {levels.against}, in points of {results.headline.label}.\n\n{table}\n\n"
        f'"{NOT_REACHED}": {levels.against} or the method does not reach the level.\n'
    )


def _note(results: Results, levels: Levels) -> str:
    """Where the levels come from, and what the brackets and the hypervolume are."""
    sentences = [_levels_of(results, levels)]
    if levels.resamples is not None and levels.id:
        sentences.append(
            f"Brackets give the 95 % interval of a paired bootstrap over test images ({levels.resamples:,} "
            f"resamples); an end is {_OPEN} if too many resamples do not reach the level."
        )
    id_, ood = (100 * value for value in levels.reference)
    sentences.append(
        f"{_HYPERVOLUME} is the area that the alpha curve dominates beyond the reference point ({id_:.1f}, "
        f"{ood:.1f}), in % of the area of a perfect model."
    )
    return " ".join(sentences)


def _levels_of(results: Results, levels: Levels) -> str:
    *shares, last = (f"{100 * fraction:g}" for fraction in levels.fractions)
    zero_shot = f"zero-shot ID ({100 * levels.zero_shot_id:.1f})"
    if not levels.id:
        return f"{NAME}: there are none, since no method gains {results.headline.label} over {zero_shot}."
    return (
        f"The levels are {zero_shot} plus {', '.join(shares)} and {last} % of the best ID gain among "
        f"{', '.join(sets_levels(results.task))} ({levels.best}, {100 * levels.best_id:.1f})."
    )


def _columns(results: Results, levels: Levels, *, spread: bool) -> list[_Column]:
    rows, found = results.rows, [levels.methods.get(row.method) for row in results.rows]

    def figures(header: str, short: str, each: list[Figure | None]) -> _Column:
        return _Column(
            header,
            short,
            [Cell("") if figure is None else _figure(figure, spread=spread) for figure in each],
        )

    alphas = [Cell("" if row.method == "zero-shot" else alpha_of(row)) for row in rows]
    columns = [_Column("Alpha", "Alpha", alphas)]
    for number, level in enumerate(levels.id):
        at_level = [None if of is None else of.ood[number] for of in found]
        columns.append(figures(_header(level), f"OOD\n@{100 * level:.1f}", at_level))
    volumes = [None if of is None else of.hypervolume for of in found]
    columns.append(figures(_HYPERVOLUME, _HYPERVOLUME, volumes))
    means: dict[str, Mean] = {"ID": "id_mean", "OOD": "ood_mean"}
    at_end = list(means.items())
    if any(row.kept is not None for row in rows):
        means["Kept"] = "kept"
        at_end = list(means.items()) if spread else at_end
    for header, mean in means.items():
        columns.append(_Column(header, header, [Cell(_mean(row, mean, spread=spread)) for row in rows]))
    ends = [None if row.method == "zero-shot" else at_alpha(results, row, 1.0) for row in rows]
    texts = (
        "" if end is None else " / ".join(_mean(end, mean, spread=False) for _, mean in at_end)
        for end in ends
    )
    names = " / ".join(header for header, _ in at_end)
    columns.append(_Column(f"Alpha 1: {names}", f"Alpha 1:\n{names}", [Cell(text) for text in texts]))
    return [
        *columns,
        _Column("Trained", "Trained", [Cell(parameters(row.trained_parameters)) for row in rows]),
    ]


def _figure(figure: Figure, *, spread: bool, sign: bool = False) -> Cell:
    """Such as "64.3 ± 0.7 [63.0, 65.5]", with "(2 of 3)" where not every seed reaches the level."""
    if figure.mean is None:
        return Cell(NOT_REACHED)
    form = f"{'+' if sign else ''}.1f"
    text = f"{100 * figure.mean:{form}}"
    if spread:
        text += "" if figure.std is None else f" ± {100 * figure.std:.1f}"
        if figure.interval is not None:
            ends = (figure.interval.low, figure.interval.high)
            shown = (_OPEN if end is None else f"{100 * end:{form}}" for end in ends)
            text += f" [{', '.join(shown)}]"
        reached = sum(value is not None for value in figure.each)
        text += "" if reached == len(figure.each) else f" ({reached} of {len(figure.each)})"
    return Cell(text, PERCENT.score(figure.mean))


def _header(level: float) -> str:
    return f"OOD at ID {100 * level:.1f}"


def _mean(figures: Figures, mean: Mean, *, spread: bool) -> str:
    value = figures.mean(mean)
    return cell(value if spread or value is None else Value(mean=value.mean)).text


def _title(results: Results) -> str:
    return f"{NAME}: {results.headline.label} in %, {results.model}"
