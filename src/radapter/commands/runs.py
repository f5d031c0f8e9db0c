"""`radapter sweep` and `radapter merge`: every alpha of a finished run, and its plain checkpoint at one."""

import shlex
from pathlib import Path

from rich.console import Console, Group

from radapter.commands.reporting import EXAMPLE_DATA, merge_steps
from radapter.commands.terminal import next_steps, plain_table, say
from radapter.evaluation import HEADLINES, Headline
from radapter.models.export import CLASSES, CLASSIFIER
from radapter.operations.merging import merge as merge_plain
from radapter.report import chosen_alpha, kept_zero_shot
from radapter.report.files import FRONTIER, write_report
from radapter.report.table import framed
from radapter.run import open_run, points_of, trained_rows
from radapter.runs.results import Results, Row, SweepRow
from radapter.storage import read_json

_LOADING = {
    "transformers": "AutoModel.from_pretrained('{to}')",
    "open_clip": "model, preprocess = open_clip.create_model_from_pretrained('local-dir:{to}')",
    "timm": "timm.create_model('local-dir:{to}')",
    "onnx": "python {to}/example.py photo.jpg",
}


def sweep(run: Path) -> Results:
    """Prints the sweep in a run's results.json, and draws its frontier. Raises RunError if nothing was trained."""
    opened = open_run(run)
    results, trained = opened.results, trained_rows(opened)
    console = Console()
    for row in trained:
        console.print(_table(row, points_of(results, row), HEADLINES[results.task]))
    write_report(results, run)
    if (run / FRONTIER).is_file():
        say(f"Wrote the figure to {run / FRONTIER}.")
    for sentence in chosen_alpha(results):
        say(sentence)
    for note in kept_zero_shot(results, run=str(run)):
        say(note, style="yellow")
    at = f"{shlex.quote(str(run))} --alpha {_another_alpha(trained[-1]):g}"
    another = f"radapter evaluate {at} --data {shlex.quote(EXAMPLE_DATA[results.task])}"
    next_steps(("evaluate another alpha", another), *merge_steps(results.rows[-1], run, task=results.task))
    return results


def _another_alpha(row: Row) -> float:
    """The best alpha on ID validation if the rule chose a smaller one, else half of the chosen one."""
    best = row.selection and row.selection.best_alpha
    return best if best and best != row.alpha else (row.alpha or 1.0) / 2


def _table(row: Row, points: list[SweepRow], headline: Headline) -> Group:
    transfer = ("Kept", "H") if row.kept is not None else ()
    table = plain_table("Alpha", "ID validation", "ID", "OOD mean", *transfer, "", left=("",))
    for point in points:
        is_chosen = point.alpha == row.alpha
        table.add_row(
            f"{point.alpha:g}",
            _percent(None if point.id_val is None else headline.score(point.id_val)),
            _percent(point.id_mean),
            _percent(point.ood_mean),
            *([_percent(point.kept), _percent(point.harmonic_mean)] if transfer else []),
            "chosen" if is_chosen else "",
            style="bold" if is_chosen else "",
        )
    return framed(table, title=f"{row.method}: {headline.label} in %")


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"  # noqa: RUF001


def merge(
    run: Path,
    to: Path,
    *,
    alpha: float | None,
    format: str | None,
    method: str | None,
    seed: int | None,
    allow_download: bool,
) -> None:
    """Merges as `Run.merge`, or one method of a comparison, and prints what was written and how it is loaded.

    Raises:
        InputError: the run or comparison is not finished or has no such method or seed, the base model is another,
            `to` exists, or alpha is out of range, or chosen as 0; nothing is written.
    """
    merged = merge_plain(
        run, to, alpha=alpha, format=format, method=method, seed=seed, allow_download=allow_download
    )
    about, difference = merged.about, read_json(merged.folder / "certificate.json")["max_relative_difference"]
    line = f"Wrote {to}: '{about['method']}' at alpha {merged.alpha:g}, features equal to {difference:.1e}"
    if "classnames" in about:
        line += f"; {CLASSIFIER} and {CLASSES} hold its classifier of {len(about['classnames'])} classes"
    say(f"{line}.")
    has_classifier, task = (to / CLASSIFIER).is_file(), about.get("task", "classification")
    next_steps(*merged_steps(to, merged.library, task, has_classifier=has_classifier))


def merged_steps(
    folder: str | Path, library: str, task: str, *, has_classifier: bool
) -> list[tuple[str, str]]:
    """The next steps with a merged folder that `library` reads."""
    towers = f"load the towers (radapter's README, 'Deploy', applies {CLASSIFIER})"
    quoted = shlex.quote(str(folder))
    push = ("upload it", f"radapter push {quoted} OWNER/NAME")
    if library == "onnx":
        return [("run it without torch", _LOADING[library].format(to=quoted)), push]
    return [
        ("measure it", f"radapter evaluate {quoted} --data {shlex.quote(EXAMPLE_DATA[task])}"),
        (
            towers if has_classifier else "load it",
            _LOADING.get(library, "radapter.load('{to}')").format(to=folder),
        ),
        push,
    ]
