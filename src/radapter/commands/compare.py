"""`radapter compare`: several methods on the user's data, at several seeds, each selected in the same way."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from radapter.commands.reporting import merge_steps, print_study
from radapter.commands.terminal import next_steps
from radapter.config import load_config, overridden
from radapter.errors import DivergedError
from radapter.evaluation import HEADLINES
from radapter.operations.comparing import Choice, Study, alone
from radapter.operations.comparing import compare as compare_by
from radapter.storage import free


def compare(
    path: Path,
    overrides: Sequence[str],
    *,
    methods: str,
    seeds: int,
    standard_models: Path | None,
    out: Path | None,
) -> None:
    """Compares as `radapter.compare`, and prints the tables and what to do next.

    Raises:
        InputError: a method, a setting, the model or the data does not fit, or the folder holds another comparison.
        Interrupted: a signal came; finished work is kept, and the same call continues.
        DivergedError: a method diverged at every rate, or at a seed; the tables of the others are written.
    """
    given = load_config(path, overrides, {} if out is None else {"out": out})
    names = [name.strip() for name in methods.split(",") if name.strip()]
    words = ["radapter", "compare", str(path), *overrides, "--methods", methods, "--seeds", str(seeds)]
    words += [] if standard_models is None else ["--standard-models", str(standard_models)]
    study = compare_by(
        given,
        Choice(names, seeds, standard_models),
        fixed=overridden(overrides),
        origin=str(path),
        command=shlex.join(words),
        again="the same command",
    )
    print_study(study.results, study.folder)
    next_steps(("the whole table", f"{study.folder / 'results.md'}"), *_steps(study, path, overrides))
    if study.results.diverged:
        why = " ".join(f"{name} has no row. {reason}" for name, reason in study.results.diverged.items())
        raise DivergedError(f"{why} The other methods are in '{study.folder}'.")


def _steps(study: Study, path: Path, overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Merging the best method on ID validation, and training it as a run of its own."""
    single = [method for method in study.methods if method.build is not None and method.averages is None]
    if not single:
        return []
    first = study.found.results[0]
    score = HEADLINES[first.task].score
    scores = {(row.method, row.alpha): score(row.id_val) for row in first.sweep if row.id_val}
    best = max(single, key=lambda method: scores[method.name, first.row(method.name).alpha])
    purpose = "the best on ID validation, as a plain checkpoint"
    steps = merge_steps(
        first.row(best.name), study.folder, "--method", best.name, task=first.task, purpose=purpose
    )
    words = alone(study.given, best, study.found.learning_rates.get(best.runs))
    training = shlex.join(["radapter", "train", str(path), *overrides, *words, "--out"])
    return [*steps, ("the same as a run of its own", f"{training} {free(f'runs/{best.name}')}")]
