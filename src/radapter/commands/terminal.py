"""What commands print: bars while they work, tables, and what to do next."""

import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from radapter.data.images.bad_images import skipped_images
from radapter.processes import is_shared, shared
from radapter.progress import is_quiet
from radapter.report.table import duration
from radapter.search.sheet import printable
from radapter.training import Evaluated, Interrupted
from radapter.training import Progress as Step

_SHOWN = 5  # messages of images that were skipped


def say(text: str, style: str = "") -> None:
    """Prints text without markup; a terminal wraps it between words, a file gets whole lines."""
    console = Console()
    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def say_aside(text: str) -> None:
    """Prints text on stderr, where it does not mix with results."""
    console = Console(stderr=True)
    console.print(Text(text), soft_wrap=not console.is_terminal)


def say_to_copy(text: str) -> None:
    """Prints lines of a file as they are, to be copied."""
    Console().print(Text(text), soft_wrap=True)


def report_left_out(heading: str, messages: Sequence[str]) -> None:
    """Prints on stderr how many images were left out, and why the first of them were; nothing for none."""
    if messages:
        more = [f"and {len(messages) - _SHOWN} more"] if len(messages) > _SHOWN else []
        lines = [f"{heading}: {len(messages)}", *map(printable, messages[:_SHOWN]), *more]
        say_aside("\n  ".join(lines))


def plain_table(*columns: str, left: Collection[str] = (), **options: Any) -> Table:
    """A table with a line below its header; numbers are aligned to the right, the columns in `left` to the left."""
    table = Table(box=box.SIMPLE_HEAD, **options)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    return table


def next_steps(*steps: tuple[str, str]) -> None:
    """Prints what to do next: pairs of a purpose and a command."""
    if is_quiet():
        return
    say("\nNext:")
    console = Console()
    for purpose, command in steps:
        line = Text(f"  {purpose}: ")
        line.append(command, style="bold")
        if console.is_terminal and line.cell_len > console.width:
            line = Text(f"  {purpose}:\n    ").append(_continued(command, console.width - 4), style="bold")
        console.print(line, soft_wrap=True)


def _continued(command: str, width: int) -> str:
    """A shell command on lines of at most `width` columns where its words allow it, joined by backslashes."""
    lines = [""]
    for word in re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+", command):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append(f"  {word}")
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\n    ".join(lines)


def next_in_run_yaml(section: str) -> None:
    """Prints the lines of run.yaml that use what a command made."""
    say_to_copy(f"\nNext, in run.yaml:\n\n{section}")


def free(name: str) -> str:
    """A name for a suggested command, quoted for a shell: the given one, or with a number if it exists already."""
    path = Path(name)
    others = (f"{path.with_suffix('')}-{number}{path.suffix}" for number in count(2))
    return shlex.quote(next(each for each in chain([name], others) if not os.path.lexists(each)))


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
    """Bars for training and evaluation, on stderr: stdout holds only results."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._training: TaskID | None = None
        self._evaluation: TaskID | None = None
        self._name = "training"

    def starting(self, name: str) -> None:
        """Starts the bar of a training of that name; a log file gets a line."""
        self._log(name)
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
            self._log(f"{self._name}: step {step.step} of {step.steps}, loss {step.loss:.3f}{skipped}")

    def evaluated(self, step: Evaluated) -> None:
        """Moves the bar of the evaluation."""
        if self._evaluation is None:
            self._evaluation = self._progress.add_task("evaluating", total=None, note="")
        alphas = "1 alpha" if step.alphas == 1 else f"{step.alphas} alphas"
        what = f"{step.method} on {step.name}, {step.images:,} images at {alphas}"
        self._progress.update(self._evaluation, completed=step.done, total=step.total, note=what)
        if step.seconds is not None:
            self._log(f"evaluated {what}: {duration(step.seconds)}")

    def _log(self, line: str) -> None:
        if not self._progress.console.is_terminal:  # a log file shows no bar
            self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Bars]:
    """Shows bars while the block runs, then prints how many images were skipped; `quiet` shows neither."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    console = Console(stderr=True, quiet=quiet or is_quiet())
    with (
        skipped_images() as skipped,
        Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress,
    ):
        yield Bars(progress)
    if skipped and not quiet:
        counts = ", ".join(f"{name} {len(images):,}" for name, images in skipped.items())
        total = sum(map(len, skipped.values()))
        say(f"Skipped because they cannot be read: {total:,} images ({counts}).", "yellow")
