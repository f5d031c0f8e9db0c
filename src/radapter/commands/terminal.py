"""What commands print: a bar while they work, a table, and what to do next."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from radapter.report.table import duration
from radapter.training import Evaluated
from radapter.training import Progress as Step


def say(text: str, style: str = "") -> None:
    """Prints one line, as it is: brackets in a path are no markup."""
    Console().print(Text(text, style=style), soft_wrap=True)


def say_aside(text: str) -> None:
    """Prints one line on stderr, where it does not mix with results."""
    Console(stderr=True).print(Text(text), soft_wrap=True)


def report_skipped(skipped: Mapping[str, Collection[int]]) -> None:
    """Prints how many images of each set were skipped because they cannot be read; nothing where none was."""
    if skipped:
        counts = ", ".join(f"{name} {len(images):,}" for name, images in skipped.items())
        say(
            f"Skipped because they cannot be read: {sum(map(len, skipped.values())):,} images ({counts}).",
            "yellow",
        )


def next_steps(*steps: tuple[str, str]) -> None:
    """Prints what to do next.

    Args:
        steps: what for, and the command.
    """
    say("\nNext:")
    for purpose, command in steps:
        line = Text(f"  {purpose}: ")
        line.append(command, style="bold")
        Console().print(line, soft_wrap=True)


class Bars:
    """Bars for training and evaluation, on stderr: the standard output holds results alone."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._training: TaskID | None = None
        self._evaluation: TaskID | None = None
        self._name = "training"

    def starting(self, name: str) -> None:
        """A training of that name begins."""
        if self._training is not None:
            self._progress.remove_task(self._training)
        self._name, self._training = name, None

    def report(self, step: Step) -> None:
        """A training step is done."""
        if self._training is None:
            self._training = self._progress.add_task(self._name, total=step.steps, note="")
        skipped = f", {step.skipped} skipped" if step.skipped else ""
        self._progress.update(
            self._training,
            completed=step.step,
            note=f"loss {step.loss:.3f}, {step.images_per_second:.0f} images/s{skipped}",
        )
        if not self._progress.console.is_terminal and step.step % max(1, step.steps // 10) == 0:
            # a log keeps no bar
            line = f"{self._name}: step {step.step} of {step.steps}, loss {step.loss:.3f}{skipped}"
            self._progress.console.print(line, highlight=False, markup=False)

    def evaluated(self, step: Evaluated) -> None:
        """Images of a set are evaluated."""
        if self._evaluation is None:
            self._evaluation = self._progress.add_task("evaluating", total=None, note="")
        alphas = "1 alpha" if step.alphas == 1 else f"{step.alphas} alphas"
        what = f"{step.method} on {step.name}, {step.images:,} images at {alphas}"
        self._progress.update(self._evaluation, completed=step.done, total=step.total, note=what)
        if step.seconds is not None and not self._progress.console.is_terminal:  # a log keeps no bar
            line = f"evaluated {what}: {duration(step.seconds)}"
            self._progress.console.print(line, highlight=False, markup=False)


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Bars]:
    """Shows bars while the block runs, unless `quiet`."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=quiet),
        transient=True,
    ) as progress:
        yield Bars(progress)
