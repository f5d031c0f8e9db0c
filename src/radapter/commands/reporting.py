"""A run's results in the terminal."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from radapter import report
from radapter.commands.terminal import say
from radapter.evaluation import TaskName
from radapter.methods import why_unmergeable
from radapter.report.files import FRONTIER, TABLE, run_of
from radapter.report.levels import levels_table
from radapter.report.page import PAGE
from radapter.report.study import FILES as STUDY_FILES
from radapter.report.study import edge_lines
from radapter.report.table import duration, kept_note
from radapter.runs.results import RESULTS, Results, Row
from radapter.storage import free
from radapter.task_list import OfEachTask

EXAMPLE_DATA: Mapping[str, str] = OfEachTask("example")
"""Placeholder data sources in suggested commands."""


def print_results(results: Results, folder: Path) -> None:
    """Prints the table of a run, notes on it, and where its files are."""
    console = Console()
    _print_table(results, console)
    if (beside := report.beside_table(results)) is not None:
        console.print(beside)
    _print_notes(results, run=run_of(results, folder))
    if results.evaluation_seconds is not None:
        say(f"Time is the time of training. Evaluation took {duration(results.evaluation_seconds)}.")
    names = (RESULTS, TABLE, FRONTIER, PAGE)
    say(f"In {folder}: {', '.join(name for name in names if (folder / name).is_file())}.")


def print_sets(results: Results, *, metric: str | None = None, roles: bool = False) -> None:
    """Prints a metric of every set under its name, and with `roles` the role that a run gives it."""
    console = Console()
    for table in report.sets_tables(results, metric=metric, roles=roles, width=console.width):
        console.print(table)


def print_study(results: Results, folder: Path) -> None:
    """Prints the table of a comparison, notes on it, and where its files are."""
    _print_table(results, Console())
    _print_notes(results, run=None)
    for row in results.rows:
        if row.robustness is not None:
            effective, relative = (
                f"{100 * each.mean:+.1f}" for each in (row.robustness.effective, row.robustness.relative)
            )
            say(f"Robustness: {row.method} effective {effective}, relative {relative} points.")
        if results.levels is None and row.harmonic_mean is not None and row.harmonic_of_means is not None:
            say(
                f"H of ID and transfer: {row.method} {100 * row.harmonic_mean:.1f}, the mean over seeds; "
                f"{100 * row.harmonic_of_means:.1f}, of the means."
            )
    rates = ", ".join(f"{name} {found.chosen:g}" for name, found in results.search.items())
    if rates:
        say(
            "Learning rates, each the smallest within one paired standard error of the best on ID validation: "
            f"{rates}."
        )
    for line in edge_lines(results.search):
        say(line)
    say(f"In {folder}: {', '.join(name for name in (*STUDY_FILES, PAGE) if (folder / name).is_file())}.")


def merge_steps(
    row: Row, folder: Path, *options: str, task: TaskName, purpose: str = "a plain checkpoint"
) -> list[tuple[str, str]]:
    """The next step that merges a row of a run or comparison; none where every alpha gives the zero-shot model, or
    the method cannot be merged."""
    if why_unmergeable(row.method, task):
        return []
    at = row.alpha or (row.selection and row.selection.best_alpha)  # the best one where 0 was chosen
    if not at:
        return []
    given = [] if row.alpha else ["--alpha", f"{at:g}"]
    words = shlex.join(["radapter", "merge", str(folder), *options, *given, "--out"])
    return [(purpose, f"{words} {free('merged')}")]


def _print_table(results: Results, console: Console) -> None:
    has_levels = results.levels is not None
    console.print(levels_table(results) if has_levels else report.results_table(results, width=console.width))


def _print_notes(results: Results, *, run: str | None) -> None:
    say(kept_note(results))
    for note in report.kept_zero_shot(results, run=run):
        say(note, style="yellow")
