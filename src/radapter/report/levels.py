"""The table of a comparison: OOD at fixed ID levels first, then ID, OOD and Kept at the chosen alpha and at alpha 1.

Two methods at their chosen alphas may trade ID against OOD; at one ID they can be compared.
"""

from collections.abc import Iterator
from functools import partial

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.comparison.levels import sets_levels
from radapter.report.cells import ABSENT, PERCENT, Cell, Column, alpha_of, at_alpha, cell, markdown, texts_of
from radapter.report.table import caption, framed, kept_note, parameters
from radapter.runs.results import Figure, Levels, Mean, Results, Row

NAME = "OOD at fixed ID levels"
NOT_REACHED = "not reached"
_OPEN, _HYPERVOLUME = "open", "Hypervolume"
_WIDE = (_HYPERVOLUME, "Trained")
"""Columns that do not fit a terminal of 80 columns."""


def levels_table(results: Results) -> Group:
    """Title, table and caption for a terminal of 80 columns, means only; the best at each level in bold."""
    assert results.levels is not None
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), collapse_padding=True, pad_edge=False, show_edge=False
    )
    table.add_column("Method", overflow="fold")
    columns = [of for of in _columns(results, results.levels, spread=False) if of.header not in _WIDE]
    for column in columns:
        table.add_column(column.short or column.header, justify="right", no_wrap=True)
    for row, texts in zip(results.rows, texts_of(columns, results.rows), strict=True):
        cells = (
            Text(text.replace(NOT_REACHED, ABSENT), style="bold" if is_best else "")
            for text, is_best in texts
        )
        table.add_row(row.method, *cells)
    notes = [f"{ABSENT}: {NOT_REACHED}."] if results.levels.id else []
    notes += [_levels_of(results, results.levels), caption(results, spread=False)]
    notes.append(f"{' and '.join(_WIDE)} are in results.md.")
    return framed(table, title=_title(results), notes=" ".join(notes))


def levels_markdown(results: Results) -> str:
    """The table in Markdown, with the spread over seeds and the intervals; the best at each level in bold. Empty if
    methods were not compared."""
    if results.levels is None:
        return ""
    columns = _columns(results, results.levels, spread=True)
    lines = [
        [row.method, *(f"**{text}**" if is_best else text for text, is_best in texts)]
        for row, texts in zip(results.rows, texts_of(columns, results.rows), strict=True)
    ]
    table = markdown(["Method", *(column.header for column in columns)], lines)
    notes = [*_notes(results, results.levels), caption(results), kept_note(results)]
    return f"{_title(results)}\n\n{table}\n\n{' '.join(notes)}\n"


def differences_markdown(results: Results) -> str:
    """Each method's OOD at each level minus that of one method, seed by seed; empty without such a method."""
    levels = results.levels
    if levels is None or levels.against is None or not levels.id:
        return ""
    lines = [
        [name, *(_figure(figure, spread=True, sign=True).text for figure in of.difference)]
        for name, of in levels.methods.items()
        if of.difference is not None
    ]
    table = markdown(["Method", *(header for header, _ in level_headers(levels)[:-1])], lines)
    return (
        f"{NAME}: the difference from {levels.against}, in points of {results.headline.label}.\n\n{table}\n\n"
        f'"{NOT_REACHED}": {levels.against} or the method does not reach the level.\n'
    )


def level_headers(levels: Levels) -> list[tuple[str, int | None]]:
    """The header and number of each level, and lastly those of the hypervolume, whose number is None."""
    headers = ((f"OOD at ID {100 * level:.1f}", number) for number, level in enumerate(levels.id))
    return [*headers, (_HYPERVOLUME, None)]


def figure_of(levels: Levels, row: Row, number: int | None) -> Figure | None:
    """A method's OOD at a level, or its hypervolume if `number` is None; None if the method has no levels."""
    of = levels.methods.get(row.method)
    return None if of is None else of.hypervolume if number is None else of.ood[number]


def _notes(results: Results, levels: Levels) -> Iterator[str]:
    yield _levels_of(results, levels)
    if levels.resamples is not None and levels.id:
        yield (
            f"Brackets give the 95 % interval of a paired bootstrap over test images ({levels.resamples:,} "
            f"resamples); an end is {_OPEN} if too many resamples do not reach the level."
        )
    id_, ood = (100 * value for value in levels.reference)
    yield (
        f"{_HYPERVOLUME} is the area that the alpha curve dominates beyond the reference point ({id_:.1f}, "
        f"{ood:.1f}), in % of the area of a perfect model."
    )


def _levels_of(results: Results, levels: Levels) -> str:
    *shares, last = (f"{100 * fraction:g}" for fraction in levels.fractions)
    zero_shot = f"zero-shot ID ({100 * levels.zero_shot_id:.1f})"
    if not levels.id:
        return f"{NAME}: there are none, since no method gains {results.headline.label} over {zero_shot}."
    return (
        f"The levels are {zero_shot} plus {', '.join(shares)} and {last} % of the best ID gain among "
        f"{', '.join(sets_levels(results.task))} ({levels.best}, {100 * levels.best_id:.1f})."
    )


def _columns(results: Results, levels: Levels, *, spread: bool) -> list[Column]:
    means: dict[str, Mean] = {"ID": "id_mean", "OOD": "ood_mean"}
    means |= {"Kept": "kept"} if results.sets("transfer") else {}
    at_end = [header for header in means if spread or header != "Kept"]

    def figure(number: int | None, row: Row) -> Cell:
        found = figure_of(levels, row, number)
        return Cell("") if found is None else _figure(found, spread=spread)

    def mean(of: Mean, row: Row) -> Cell:
        return Cell(cell(row.mean(of), spread=spread).text)

    def end(row: Row) -> Cell:
        point = None if row.method == "zero-shot" else at_alpha(results, row, 1.0)
        texts = [] if point is None else [cell(point.mean(means[of]), spread=False).text for of in at_end]
        return Cell(" / ".join(texts))

    ids = [f"OOD\n@{100 * level:.1f}" for level in levels.id]
    return [
        Column("Alpha", lambda row: Cell("" if row.method == "zero-shot" else alpha_of(row))),
        *(
            Column(header, partial(figure, number), short)
            for (header, number), short in zip(level_headers(levels), [*ids, ""], strict=True)
        ),
        *(Column(header, partial(mean, of)) for header, of in means.items()),
        Column(f"Alpha 1: {' / '.join(at_end)}", end, f"Alpha 1:\n{' / '.join(at_end)}"),
        Column("Trained", lambda row: Cell(parameters(row.trained_parameters))),
    ]


def _figure(figure: Figure, *, spread: bool, sign: bool = False) -> Cell:
    """Such as "64.3 ± 0.7 [63.0, 65.5]", with "(2 of 3)" if not every seed reaches the level."""
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


def _title(results: Results) -> str:
    return f"{NAME}: {results.headline.label} in %, {results.model}"
