"""`radapter sweep`: every alpha of a finished run, ID against OOD."""

import shlex
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table

from radapter.commands.compare import COMPARISON
from radapter.commands.reporting import EXAMPLE_DATA, FRONTIER, merge_steps, write_report
from radapter.commands.terminal import next_steps, say
from radapter.errors import RunError
from radapter.evaluation import HEADLINES, Headline
from radapter.report import chosen_alpha, kept_zero_shot
from radapter.report.table import framed
from radapter.runs.results import RESULTS, Results, Row, SweepRow


def sweep(run: Path) -> None:
    """Prints the sweep of a run and draws its frontier.

    The figures are those of results.json: alpha = 0 is the zero-shot model, 1 the fine-tuned one.

    Raises:
        RunError: `run` is no finished run, or trained nothing.
    """
    results = finished(run)
    trained = [row for row in results.rows if row.method != "zero-shot"]
    if not trained:
        raise RunError(
            f"a sweep needs a trained method. '{run}' holds zero-shot alone. Train with another method."
        )
    console = Console()
    for row in trained:
        points = [point for point in results.sweep if point.method == row.method] or [
            point for point in results.sweep if point.method != "zero-shot"
        ]
        console.print(_table(row, points, HEADLINES[results.task]))
    write_report(results, run)
    if (run / FRONTIER).is_file():
        say(f"Wrote the figure to {run / FRONTIER}.")
    for sentence in chosen_alpha(results):
        say(sentence)
    for note in kept_zero_shot(results, run=str(run)):
        say(note, style="yellow")
    next_steps(
        (
            "evaluate another alpha",
            f"radapter evaluate {shlex.quote(str(run))} --alpha {_another_alpha(trained[-1]):g} "
            f"--data {shlex.quote(EXAMPLE_DATA[results.task])}",
        ),
        *merge_steps(results, run),
    )


def finished(run: Path) -> Results:
    """The results of a run.

    Raises:
        RunError: there are none, or the folder is a comparison's.
    """
    if (run / COMPARISON).is_file():
        raise RunError(
            f"'{run}' must be the folder of a run. It is a comparison's: its tables are in results.md there, and "
            f"'radapter merge {run} --method METHOD --to DIR' writes one of its models."
        )
    if not (run / RESULTS).is_file():
        raise RunError(
            f"'{run}' must be a finished run and has no {RESULTS}. Train with 'radapter train', or continue an "
            "interrupted run with '--resume'."
        )
    return Results.read(run)


def _another_alpha(row: Row) -> float:
    """The best alpha on ID validation where the rule chose a smaller one; else one between zero-shot and it."""
    best = row.selection and row.selection.best_alpha
    return best if best and best != row.alpha else (row.alpha or 1.0) / 2


def _table(row: Row, points: list[SweepRow], headline: Headline) -> Group:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Alpha", justify="right")
    table.add_column("ID validation", justify="right")
    table.add_column("ID", justify="right")
    table.add_column("OOD mean", justify="right")
    has_transfer = row.kept is not None
    for header in ("Kept", "H") if has_transfer else ():
        table.add_column(header, justify="right")
    table.add_column("")
    for point in points:
        is_chosen = point.alpha == row.alpha
        table.add_row(
            f"{point.alpha:g}",
            _percent(None if point.id_val is None else headline.score(point.id_val)),
            _percent(point.id_mean),
            _percent(point.ood_mean),
            *([_percent(point.kept), _percent(point.harmonic_mean)] if has_transfer else []),
            "chosen" if is_chosen else "",
            style="bold" if is_chosen else "",
        )
    return framed(table, title=f"{row.method}: {headline.label} in %")


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"  # noqa: RUF001
