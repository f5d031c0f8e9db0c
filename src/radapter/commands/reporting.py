"""A run's results as files and in the terminal."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from radapter.commands.terminal import say
from radapter.report import (
    beside_table,
    details_markdown,
    draw,
    kept_zero_shot,
    results_markdown,
    results_table,
    sets_tables,
)
from radapter.report.levels import levels_markdown, levels_table
from radapter.report.study import FILES as STUDY_FILES
from radapter.report.study import edge_lines
from radapter.report.table import duration, kept_note
from radapter.runs.results import RESULTS, Results, Row
from radapter.storage import write_text
from radapter.task_list import OfEachTask

TABLE, FRONTIER = "results.md", "frontier.png"
FILES = (RESULTS, TABLE, FRONTIER)
EXAMPLE_DATA: Mapping[str, str] = OfEachTask("example")
"""Placeholder data sources in suggested commands."""


def write_report(results: Results, folder: Path) -> None:
    """Writes results.md and, where something was swept, frontier.png beside results.json."""
    notes = [f"{note}\n" for note in kept_zero_shot(results, run=_run(results, folder))]
    pages = (levels_markdown(results), results_markdown(results), details_markdown(results), *notes)
    write_text(folder / TABLE, "\n".join(page for page in pages if page))
    if _has_curve(results):
        draw(results, folder / FRONTIER)


def print_results(results: Results, folder: Path) -> None:
    """Prints the table of a run, and where its files are."""
    console = Console()
    _print_table(results, console)
    if (beside := beside_table(results)) is not None:
        console.print(beside)
    _print_notes(results, run=_run(results, folder))
    if results.evaluation_seconds is not None:
        say(f"Time is of training. Evaluation took {duration(results.evaluation_seconds)}.")
    files = [RESULTS, TABLE, *([FRONTIER] if _has_curve(results) else [])]
    say(f"In {folder}: {', '.join(files)}.")


def print_sets(results: Results, *, metric: str | None = None, roles: bool = False) -> None:
    """Prints a metric of every set under its name, with its role where the sets are a run's own."""
    console = Console()
    for table in sets_tables(results, metric=metric, roles=roles, width=console.width):
        console.print(table)


def print_study(results: Results, folder: Path) -> None:
    """Prints the table of a comparison, what follows it in results.md, and where files are."""
    _print_table(results, Console())
    _print_notes(results, run=None)
    for row in results.rows:
        if row.robustness is not None:
            effective, relative = row.robustness.effective.mean, row.robustness.relative.mean
            say(
                f"Robustness: {row.method} effective {100 * effective:+.1f}, relative {100 * relative:+.1f} points."
            )
    for row in results.rows if results.levels is None else ():
        if row.harmonic_mean is not None and row.harmonic_of_means is not None:
            say(
                f"H of ID and transfer: {row.method} {100 * row.harmonic_mean:.1f}, the mean over seeds; "
                f"{100 * row.harmonic_of_means:.1f}, of the means."
            )
    rates = ", ".join(f"{name} {found.chosen:g}" for name, found in results.search.items())
    say(
        f"Learning rates, each the smallest within one paired standard error of the best on ID validation: {rates}."
    )
    for line in edge_lines(results.search):
        say(line)
    say(f"In {folder}: {', '.join(name for name in STUDY_FILES if (folder / name).is_file())}.")


def merge_steps(results: Results, run: Path) -> list[tuple[str, str]]:
    """The next step that writes a plain checkpoint; none where that would be the zero-shot model."""
    merging = merging_of(results.rows[-1], run)
    return [("a plain checkpoint", merging)] if merging else []


def merging_of(row: Row, folder: Path, *options: str) -> str | None:
    """The command that merges a row of a run or comparison; None where every alpha gives the zero-shot model.

    Where alpha 0 was chosen, the command names the best alpha on ID validation.
    """
    at = row.alpha or (row.selection and row.selection.best_alpha)
    if not at:
        return None
    given = [] if row.alpha else ["--alpha", f"{at:g}"]
    return shlex.join(["radapter", "merge", str(folder), *options, *given, "--to", "merged"])


def _print_table(results: Results, console: Console) -> None:
    if results.levels is None:
        console.print(results_table(results, width=console.width))
    else:
        console.print(levels_table(results))


def _print_notes(results: Results, *, run: str | None) -> None:
    say(kept_note(results))
    for note in kept_zero_shot(results, run=run):
        say(note, style="yellow")


def _run(results: Results, folder: Path) -> str | None:
    """The folder, where it is that of one method's run and not of several methods."""
    return str(folder) if len(results.rows) == 2 else None


def _has_curve(results: Results) -> bool:
    """A frontier needs a trained method and shifted sets."""
    return len(results.sweep) > 1 and results.sweep[0].ood_mean is not None
