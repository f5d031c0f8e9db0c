"""Bars for training and evaluation, and what an interruption says."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from radapter.data.images.bad_images import skipped_images
from radapter.processes import is_shared, shared
from radapter.progress import progress_of, quietly
from radapter.report.table import duration
from radapter.training import Evaluated, Interrupted
from radapter.training import Progress as Step

_log = logging.getLogger(__name__)


@contextmanager
def continued_with(how: str, folder: str | Path) -> Iterator[None]:
    """Adds to an interruption of the block where its work is kept and how to continue it."""
    try:
        yield
    except KeyboardInterrupt as error:
        why = str(error) or "stopped"
        stopped = Interrupted(f"{why}. What was saved is in '{folder}'. Continue with {how}")
        raise (shared(stopped) if is_shared(error) else stopped) from None


class Bars:
    """Bars of a training and of an evaluation; a log file gets lines instead."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._training: TaskID | None = None
        self._evaluation: TaskID | None = None
        self._name = "training"

    def starting(self, name: str) -> None:
        """Starts the bar of a training of that name; a log file gets a line."""
        self._line(name)
        if self._training is not None:
            self._progress.remove_task(self._training)
        self._name, self._training = name, None

    def report(self, step: Step) -> None:
        """Moves the training's bar by a step."""
        if self._training is None:
            self._training = self._progress.add_task(self._name, total=step.steps, note="")
        skipped = f", {step.skipped} skipped" if step.skipped else ""
        note = f"loss {step.loss:.3f}, {step.images_per_second:.0f} images/s{skipped}"
        self._progress.update(self._training, completed=step.step, note=note)
        if step.step % max(1, step.steps // 10) == 0:
            self._line(f"{self._name}: step {step.step} of {step.steps}, loss {step.loss:.3f}{skipped}")

    def evaluated(self, step: Evaluated) -> None:
        """Moves the bar of the evaluation."""
        if self._evaluation is None:
            self._evaluation = self._progress.add_task("evaluating", total=None, note="")
        alphas = "1 alpha" if step.alphas == 1 else f"{step.alphas} alphas"
        what = f"{step.method} on {step.name}, {step.images:,} images at {alphas}"
        self._progress.update(self._evaluation, completed=step.done, total=step.total, note=what)
        if step.seconds is not None:
            self._line(f"evaluated {what}: {duration(step.seconds)}")

    def _line(self, line: str) -> None:
        if not self._progress.console.is_terminal:  # a log file shows no bar
            self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def shown(progress: bool = True) -> Iterator[None]:
    """A block with or without progress bars, in which libraries do not announce their own next versions."""
    with quietly(not progress), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Bars]:
    """Shows bars while the block runs, then logs how many images were skipped; `quiet` does neither."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with (
        skipped_images() as skipped,
        progress_of(*columns, TimeRemainingColumn(), quiet=quiet) as progress,
    ):
        yield Bars(progress)
    if skipped and not quiet:
        counts = ", ".join(f"{name} {len(images):,}" for name, images in skipped.items())
        total = sum(map(len, skipped.values()))
        _log.warning("Skipped because they cannot be read: %s images (%s).", f"{total:,}", counts)
