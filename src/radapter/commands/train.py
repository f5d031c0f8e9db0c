"""`radapter train`: one method on the user's data, in a run folder, in one process or in several."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from radapter.commands.reporting import merge_steps, print_results
from radapter.commands.terminal import next_steps
from radapter.config import load_config
from radapter.operations.training import Trained
from radapter.operations.training import train as train_by
from radapter.processes import launched
from radapter.storage import free


def train(path: Path, overrides: Sequence[str], *, out: Path | None, resume: bool) -> None:
    """Trains as `radapter.fit`, and prints ID and OOD and what to do next.

    Raises:
        InputError: a setting, the model, the data or the run folder; nothing is written.
        Interrupted: a signal came; a checkpoint is saved, and the message has the command that resumes.
    """
    settings = {} if out is None else {"out": out}
    words = ["radapter", "train", str(path), *overrides, *([] if out is None else ["--out", str(out)])]
    again = shlex.join([*words, "--resume"]) if launched() == 1 else "the same command and --resume"
    trained = train_by(lambda: load_config(path, overrides, settings), resume=resume, again=again)
    if trained.is_main:
        _report(trained, path)


def _report(trained: Trained, path: Path) -> None:
    folder = trained.folder
    print_results(trained.results, folder)
    if trained.method.build is None:
        tune = f"radapter train {shlex.quote(str(path))} method=r-adapter --out {free(f'{folder}-tuned')}"
        next_steps(("fine-tune it", tune))
    else:
        next_steps(
            ("every alpha", f"radapter sweep {shlex.quote(str(folder))}"),
            *merge_steps(trained.results.rows[-1], folder, task=trained.results.task),
        )
