"""A run's results as files and in the terminal."""

import shlex
from pathlib import Path

from rich.console import Console

from radapter.commands.terminal import say
from radapter.evaluation import Baseline
from radapter.protocol import RESULTS, Results, Study
from radapter.report import (
    beside_table,
    details_markdown,
    draw,
    kept_zero_shot,
    results_markdown,
    results_table,
    sets_tables,
)
from radapter.report.study import FILES as STUDY_FILES
from radapter.report.study import edge_lines, study_results
from radapter.report.table import duration
from radapter.storage import write_text

TABLE, FRONTIER = "results.md", "frontier.png"
FILES = (RESULTS, TABLE, FRONTIER)


def write_report(results: Results, folder: Path) -> None:
    """Writes results.md and, where something was swept, frontier.png beside results.json."""
    found = results.as_dict()
    notes = [f"{note}\n" for note in kept_zero_shot(found, run=_run(results, folder))]
    pages = (results_markdown(found), details_markdown(found), *notes)
    write_text(folder / TABLE, "\n".join(page for page in pages if page))
    if _has_curve(results):
        draw(results.as_dict(), folder / FRONTIER)


def print_results(results: Results, folder: Path) -> None:
    """Prints the table of a run, and where its files are."""
    console = Console()
    console.print(results_table(results.as_dict(), width=console.width))
    if (beside := beside_table(results.as_dict())) is not None:
        console.print(beside)
    for note in kept_zero_shot(results.as_dict(), run=_run(results, folder)):
        say(note, style="yellow")
    if results.evaluation_seconds is not None:
        say(f"Time is of training. Evaluation took {duration(results.evaluation_seconds)}.")
    files = [RESULTS, TABLE, *([FRONTIER] if _has_curve(results) else [])]
    say(f"In {folder}: {', '.join(files)}.")


def print_sets(results: Results, *, metric: str | None = None, roles: bool = False) -> None:
    """Prints a metric of every set under its name, with its role where the sets are a run's own."""
    console = Console()
    for table in sets_tables(results.as_dict(), metric=metric, roles=roles, width=console.width):
        console.print(table)


def print_study(found: Study, folder: Path, *, against: str | None, standard: Baseline | None = None) -> None:
    """Prints the table of a comparison, what stands below it in results.md, and where files are."""
    console = Console()
    results = study_results(found, against=against, standard=standard)
    console.print(results_table(results, width=console.width))
    for note in kept_zero_shot(results):
        say(note, style="yellow")
    for row in results["frontiers"]:
        if row["gap"] is not None:
            spread = "" if row["gap_std"] is None else f" ± {100 * row['gap_std']:.1f}"
            known = sum(gap is not None for gap in row["gaps"])
            say(
                f"OOD at equal ID: {row['method']} {100 * row['gap']:+.1f}{spread} points against "
                f"{row['reference']}, above at {row['above']} of {known} seeds."
            )
    for row in results["rows"] if standard is not None else ():
        say(
            f"Robustness: {row['method']} effective {100 * row['effective_robustness']:+.1f}, relative "
            f"{100 * row['relative_robustness']:+.1f} points."
        )
    for row in results["rows"] if len(found.results) > 1 else ():
        if row["harmonic_mean"] is not None:
            say(
                f"H of ID and transfer: {row['method']} {100 * row['harmonic_mean']:.1f}, the mean over seeds; "
                f"{100 * row['harmonic_of_means']:.1f}, of the means."
            )
    rates = ", ".join(f"{name} {rate:g}" for name, rate in found.learning_rates.items())
    say(
        f"Learning rates, each the smallest within one paired standard error of the best on ID validation: {rates}."
    )
    for line in edge_lines(found.search):
        say(line)
    say(f"In {folder}: {', '.join(name for name in STUDY_FILES if (folder / name).is_file())}.")


def merge_steps(results: Results, run: Path) -> list[tuple[str, str]]:
    """The next step that writes a plain checkpoint; none where that would be the zero-shot model.

    Args:
        results: of the run.
        run: its folder.
    """
    row = results.rows[-1]
    at = row.alpha or (row.selection and row.selection.best_alpha)
    if not at:
        return []
    given = "" if row.alpha else f" --alpha {at:g}"
    return [("a plain checkpoint", f"radapter merge {shlex.quote(str(run))}{given} --to merged")]


def _run(results: Results, folder: Path) -> str | None:
    """The folder, where it is that of one method's run and not of several methods."""
    return str(folder) if len(results.rows) == 2 else None


def _has_curve(results: Results) -> bool:
    """A frontier needs a trained method and shifted sets."""
    return len(results.sweep) > 1 and results.sweep[0].ood_mean is not None
