"""`radapter sweep` and `radapter merge`: every alpha of a finished run, and its plain checkpoint at one."""

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console, Group

from radapter.adapter.config import check_alpha
from radapter.commands.checks import absent_folder
from radapter.commands.compare import COMPARISON
from radapter.commands.reporting import EXAMPLE_DATA, FRONTIER, merge_steps, write_report
from radapter.commands.terminal import next_steps, plain_table, say
from radapter.comparison.chosen import CHOSEN, Chosen
from radapter.config import load_stored
from radapter.errors import ConfigError, RunError, did_you_mean
from radapter.evaluation import HEADLINES, Headline
from radapter.models import load
from radapter.models.export import CLASSES, CLASSIFIER
from radapter.report import chosen_alpha, kept_zero_shot
from radapter.report.table import framed
from radapter.runs.directory import CONFIG
from radapter.runs.merging import alpha_to_merge, check_mergeable, merge_run
from radapter.runs.results import RESULTS, Results, Row, SweepRow
from radapter.runs.weights import read_about
from radapter.storage import check_destination, read_json

_Source = tuple[Path, dict[str, Any], str]
_LOADING = {
    "transformers": "AutoModel.from_pretrained('{to}')",
    "open_clip": "model, preprocess = open_clip.create_model_from_pretrained('local-dir:{to}')",
    "timm": "timm.create_model('local-dir:{to}')",
}


def sweep(run: Path) -> Results:
    """Prints the sweep in a run's results.json, and draws its frontier. Raises RunError if nothing was trained."""
    results = finished(run)
    trained = [row for row in results.rows if row.method != "zero-shot"]
    if not trained:
        raise RunError(
            f"a sweep needs a trained method. '{run}' holds only zero-shot. Train with another method."
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
    at = f"{shlex.quote(str(run))} --alpha {_another_alpha(trained[-1]):g}"
    another = f"radapter evaluate {at} --data {shlex.quote(EXAMPLE_DATA[results.task])}"
    next_steps(("evaluate another alpha", another), *merge_steps(results.rows[-1], run, task=results.task))
    return results


def finished(run: Path) -> Results:
    """The results of a run. Raises RunError if there are none, or the folder is a comparison's."""
    if (run / COMPARISON).is_file():
        raise RunError(
            f"'{run}' must be the folder of a run. It is a comparison's: its tables are in results.md there, and "
            f"'radapter merge {run} --method METHOD --out DIR' writes one of its models."
        )
    if not (run / RESULTS).is_file():
        raise RunError(
            f"'{run}' must be a finished run and has no {RESULTS}. Train with 'radapter train', or continue an "
            "interrupted run with '--resume'."
        )
    return Results.read(run)


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
    """Writes the merged model in its own library's format, or in another's if that has the architecture.

    Raises:
        InputError: the run or comparison is not finished or has no such method or seed, the base model is another,
            `to` exists, or alpha is out of range, or chosen as 0; nothing is written.
    """
    if alpha is not None:
        check_alpha(alpha)
    source = _of_comparison if (run / COMPARISON).is_file() else _of_run
    folder, about, model = source(run, method, seed)
    check_mergeable(about)
    at = alpha_to_merge(run, about, alpha)
    check_destination(to)
    if not absent_folder(to):
        raise RunError(f"--out must be a new folder. '{to}' exists. Give another.")
    encoder = load(model, allow_download=allow_download)
    merged = merge_run(folder, encoder, to=to, format=format, alpha=at, method=about["method"])
    difference = read_json(merged / "certificate.json")["max_relative_difference"]
    line = f"Wrote {merged}: '{about['method']}' at alpha {at:g}, features equal to {difference:.1e}"
    if "classnames" in about:
        line += f"; {CLASSIFIER} and {CLASSES} hold its classifier of {len(about['classnames'])} classes"
    say(f"{line}.")
    has_classifier, task = (merged / CLASSIFIER).is_file(), about.get("task", "classification")
    next_steps(*merged_steps(to, format or encoder.library, task, has_classifier=has_classifier))


def _of_run(run: Path, method: str | None, seed: int | None) -> _Source:
    """The folder of the weights, the facts about them, and the base model."""
    about = read_about(run)
    for option, given in (("--method", method), ("--seed", seed)):
        if given is not None:
            raise ConfigError(f"{option} is for a comparison, got {given}. '{run}' is a run. Leave it out.")
    return run, about, load_stored(run / CONFIG).model


def _of_comparison(folder: Path, method: str | None, seed: int | None) -> _Source:
    if not (folder / CHOSEN).is_file():
        raise RunError(
            f"comparison must be finished. '{folder}' has no {CHOSEN}. Run the same 'radapter compare' again to "
            "continue it."
        )
    chosen = Chosen.read(folder)
    methods = chosen.methods
    if method is None or method not in methods:
        given = "Got none." if method is None else f"Got '{method}'.{did_you_mean(method, methods)}"
        raise ConfigError(f"--method must be one of the comparison's: {', '.join(methods)}. {given}")
    of_seed = methods[method]
    key = next(iter(of_seed)) if seed is None else str(seed)
    if key not in of_seed:
        raise ConfigError(f"--seed must be one of the comparison's: {', '.join(of_seed)}. Got {seed}.")
    training = folder / of_seed[key].training
    about = {**read_about(training), "method": method, "alpha": of_seed[key].alpha}
    return training, about, chosen.model


def merged_steps(
    folder: str | Path, library: str, task: str, *, has_classifier: bool
) -> list[tuple[str, str]]:
    """The next steps with a merged folder that `library` reads."""
    towers = f"load the towers (radapter's README, 'Deploy', applies {CLASSIFIER})"
    return [
        (
            "measure it",
            f"radapter evaluate {shlex.quote(str(folder))} --data {shlex.quote(EXAMPLE_DATA[task])}",
        ),
        (
            towers if has_classifier else "load it",
            _LOADING.get(library, "radapter.load('{to}')").format(to=folder),
        ),
    ]
