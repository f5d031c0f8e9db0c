"""Turns what a command raises into one line on stderr and an exit code.

Heavy imports happen inside the functions, so that `radapter --help` does not import torch.
"""

import functools
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec

import typer

_P = ParamSpec("_P")
DONE, OURS, INPUT, INTERRUPTED = 0, 1, 2, 130


def answered(command: Callable[_P, None], *, in_many_processes: bool) -> Callable[_P, None]:
    """Wraps a command: one line and an exit code for what it raises.

    Args:
        command: any command.
        in_many_processes: whether torchrun or accelerate launch may start it; otherwise it is refused there.
    """

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if process_count() > 1 and not in_many_processes:
            if _is_main():
                _say(
                    f"radapter {command.__name__.replace('_', ' ')} runs in one process. The launcher started "
                    f"{process_count()}. Start it without one; train and evaluate are shared.",
                    "red",
                )
            raise typer.Exit(INPUT)
        with _answers():
            command(*args, **kwargs)

    return run


def process_count() -> int:
    """How many processes torchrun or accelerate launch started."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def _is_main() -> bool:
    return process_count() == 1 or os.environ["RANK"] == "0"


@contextmanager
def _answers() -> Iterator[None]:
    _log_to_terminal()
    try:
        with warnings.catch_warnings(), _termination_interrupts():
            warnings.simplefilter("ignore", FutureWarning)  # libraries speak of their own next versions
            if not _is_main():
                warnings.simplefilter("ignore")
            yield
        _leave()
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt as interruption:
        # no full stop: the message ends in a command to copy
        if _is_main():
            _say(f"Interrupted: {interruption}" if str(interruption) else "Interrupted.", "yellow")
        _wait_until_told(interruption)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if not _is_to_be_told_here(error):
            _wait_until_told(error)
            raise typer.Exit(INPUT if _is_input_error(error) else OURS) from None
        if _is_input_error(error):
            _say(" ".join([_message(error), *getattr(error, "__notes__", ())]), "red")
            _wait_until_told(error)
            raise typer.Exit(INPUT) from None
        if "operator torchvision::nms does not exist" in str(error):
            _say(
                "torchvision must be built for the installed torch. It is not. Install both in one command: "
                "pip install --force-reinstall torch torchvision.",
                "red",
            )
            raise typer.Exit(INPUT) from None
        traceback.print_exc()
        if process_count() > 1:
            _say(
                f"Process {os.environ['RANK']} of {process_count()} failed. If it reports that another process "
                "is gone, see that process's own lines.",
                "red",
            )
        _say("This is a fault of radapter, not of the input. Please report it with the lines above.", "red")
        _wait_until_told(error)
        raise typer.Exit(OURS) from None


def _is_to_be_told_here(error: Exception) -> bool:
    """Whether this process prints an error: the main one, and any that is alone with it."""
    if _is_main():
        return True
    from radapter.processes import is_shared

    return not is_shared(error)


def _wait_until_told(error: BaseException) -> None:
    """Holds every process until the main one has told an error that all have: a launcher ends all with the first."""
    if process_count() > 1:
        from radapter.processes import is_shared, join

        if is_shared(error):
            join().wait()


def _leave() -> None:
    if process_count() > 1:
        from radapter.processes import join

        join().leave()


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM acts as Ctrl-C: what is half written is cleaned up, and the exit code is 130."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_input_error(error: Exception) -> bool:
    from radapter.errors import RAdapterError

    # A file system that refuses a file names it; what it says of none is looked at like any other fault.
    return isinstance(error, RAdapterError) or (isinstance(error, OSError) and error.filename is not None)


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return (
            f"'{error.filename}' cannot be read or written: {error.strerror}. Check the path, its permissions and "
            "the disk."
        )
    return str(error)


def _say(text: str, colour: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text(text, style=colour), soft_wrap=True)


def _log_to_terminal() -> None:
    import logging

    from rich.console import Console
    from rich.logging import RichHandler

    log = logging.getLogger("radapter")
    if not log.handlers:
        log.addHandler(RichHandler(console=Console(stderr=True), show_time=False, show_path=False))
        log.setLevel(logging.INFO if _is_main() else logging.CRITICAL)
