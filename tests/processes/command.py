"""Runs the command line in one process of several, and keeps its output in files."""

import os
import signal
import sys
import time
from pathlib import Path

import radapter_cli
from radapter.operations.bars import Bars


def run(folder: str, *arguments: str) -> None:
    """`radapter ARGUMENTS`; what process R says stands in FOLDER/R.out and FOLDER/R.err.

    FOLDER/R.threads has the names of the threads that the command left running.
    """
    for stream, name in ((1, "out"), (2, "err")):
        with (Path(folder) / f"{os.environ['RANK']}.{name}").open("w") as file:
            os.dup2(file.fileno(), stream)
    os.environ["COLUMNS"] = "200"
    sys.argv = ["radapter", *arguments]
    try:
        radapter_cli.main()
    finally:
        names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
        (Path(folder) / f"{os.environ['RANK']}.threads").write_text("".join(names))


def run_stopped(folder: str, *arguments: str) -> None:
    """As `run`; SIGTERM reaches the last process alone, when its first step is reported."""

    def stop(bars: Bars, step) -> None:
        if step.step == 1:
            signal.raise_signal(signal.SIGTERM)

    if os.environ["RANK"] != "0":
        Bars.report = stop  # type: ignore[method-assign]
    run(folder, *arguments)


def run_elsewhere(folder: str, *arguments: str) -> None:
    """As `run`; the last process finds nothing where the first one does."""
    os.chdir(folder if os.environ["RANK"] == "0" else "/")
    run(folder, *arguments)


def run_killed(folder: str, *arguments: str) -> None:
    """As `run`; the last process is killed when its first step is reported."""
    at_step(1, lambda: os.kill(os.getpid(), signal.SIGKILL))
    run(folder, *arguments)


def run_hanging(folder: str, *arguments: str) -> None:
    """As `run`; the last process hangs from its first step on, until the first one has ended."""
    over = Path(folder) / "over"

    def hang() -> None:
        while not over.exists():
            time.sleep(0.1)
        os._exit(0)

    at_step(1, hang)
    try:
        run(folder, *arguments)
    finally:
        over.touch()


def at_step(number: int, act) -> None:
    """Acts in the last process when that step is reported."""

    def report(bars: Bars, step) -> None:
        if step.step == number:
            act()

    if os.environ["RANK"] != "0":
        Bars.report = report  # type: ignore[method-assign]
