"""The typer application, how it gets a command, and how errors become one line and an exit code.

Heavy imports happen inside functions, so that `radapter --help` does not import torch.
"""

import functools
import inspect
import io
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from types import FrameType
from typing import Annotated, Any, ParamSpec

import typer
from typer.core import TyperCommand

_P = ParamSpec("_P")
OURS, INPUT, INTERRUPTED = 1, 2, 130
START, TRAIN, LOOK, USE, DATA = "Start", "Train", "Evaluate and inspect", "Use a model", "Prepare data"
"""Groups of commands in `radapter --help`."""
RENAMED = {"--to": "--out", "--html": "--out", "--images": "--data", "--image": "--data"}
"""Former option -> its name today."""

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors only: no progress and no hints.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")]

_Typer = functools.partial(
    typer.Typer,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app = _Typer(
    name="radapter",
    pretty_exceptions_enable=False,
    help="Fine-tune CLIP-like models, measure their accuracy under distribution shift, and write plain checkpoints.",
    epilog="Start with [bold]radapter demo[/], then [bold]radapter init classification --out run.yaml[/] and "
    "[bold]radapter train run.yaml[/]. Exit codes: 0 success, "
    "1 internal error, 2 invalid input, 130 interrupted.",
)
data_app = _Typer(help="Check a data set before training.")
app.add_typer(data_app, name="data", rich_help_panel=DATA)


def main() -> None:
    """Runs the `radapter` command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be valid text
    if _process_count() > 1:
        # else DistributedDataParallel advises, in every process, against a setting that is needed
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    app()


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("radapter"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


class _LineHandler(logging.Handler):
    """Writes each message as one line of a log file."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


class _Command(TyperCommand):
    """A command that names the new option where a former one is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {option for parameter in self.params for option in parameter.opts}
        for word in args:
            option, _, _ = word.partition("=")
            if option in RENAMED and option not in own:
                _say(f"{option} was renamed to {RENAMED[option]}. Use {RENAMED[option]}.")
                raise typer.Exit(INPUT)
        return super().parse_args(ctx, args)


def command(
    *examples: str,
    panel: str,
    note: str = "",
    in_many_processes: bool = False,
    has_json: bool = False,
    to: typer.Typer = app,
    name: str | None = None,
) -> Callable[[Callable[_P, object]], Callable[_P, object]]:
    """Adds a function to the application `to` as a command, with examples and a note below its options.

    The command prints one line for what it raises and ends with an exit code. Every command has `--quiet`; with
    `has_json`, `--json` prints what the function returns. Without `in_many_processes` it refuses to be started by
    torchrun or accelerate launch.
    """
    title = "Example:" if len(examples) == 1 else "Examples:"
    lines = [title, *(f"[bold]{example}[/]" for example in examples), note]
    shared = {"quiet": Quiet} | ({"as_json": Json} if has_json else {})

    def added(function: Callable[_P, object]) -> Callable[_P, object]:
        @functools.wraps(function)
        def run(*args: Any, quiet: bool = False, **kwargs: Any) -> None:
            as_json = has_json and kwargs.pop("as_json", False)
            if _process_count() > 1 and not in_many_processes:
                if _is_main():
                    _say(
                        f"radapter {function.__name__.replace('_', ' ')} runs in one process. The launcher started "
                        f"{_process_count()}. Start it without one; only train and evaluate use several processes."
                    )
                raise typer.Exit(INPUT)
            with _answers(quiet=quiet or as_json):
                with redirect_stdout(io.StringIO()) if as_json else nullcontext():
                    result = function(*args, **kwargs)
                if as_json and _is_main():
                    from pydantic_core import to_json

                    typer.echo(to_json(result, indent=2, inf_nan_mode="null"))

        parameters = [*inspect.signature(function).parameters.values()]
        for option, annotation in shared.items():
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(option, kind, default=False, annotation=annotation))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {**function.__annotations__, **shared}
        epilog = "\n\n".join(filter(None, lines))
        to.command(name, cls=_Command, epilog=epilog, rich_help_panel=panel)(run)
        return function

    return added


def _process_count() -> int:
    """The number of processes that torchrun or accelerate launch started."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _answers(*, quiet: bool) -> Iterator[None]:
    _log_to_terminal(quiet=quiet)
    try:
        with warnings.catch_warnings(), _termination_interrupts():
            warnings.simplefilter("ignore", FutureWarning)  # libraries announce their own next versions
            if not _is_main():
                warnings.simplefilter("ignore")
            if quiet:
                from radapter.progress import quietly

                with quietly():
                    yield
            else:
                yield
        if _process_count() > 1:
            from radapter.processes import join

            join().leave()
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt as interruption:
        with _once(interruption):
            if _is_main():  # no full stop: the message ends in a command to copy
                _say(f"Interrupted: {interruption}" if str(interruption) else "Interrupted.", "yellow")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        code, text = _answer_to(error)
        with _once(error) as prints:
            if prints and code == OURS:
                traceback.print_exc()
            if prints:
                _say(text)
        raise typer.Exit(code) from None


@contextmanager
def _once(error: BaseException) -> Iterator[bool]:
    """Yields whether this process prints an error: the main one, and any that is alone with it.

    Processes that share an error wait for the main one to print it: a launcher ends all with the first.
    """
    if _process_count() == 1:
        yield True
        return
    from radapter.processes import is_shared, join

    yield _is_main() or not is_shared(error)
    if is_shared(error):
        join().wait()


def _answer_to(error: Exception) -> tuple[int, str]:
    """The exit code and the line for an error."""
    from radapter.errors import RAdapterError

    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:  # without a file, a fault like any other
        text = f"'{error.filename}' cannot be read or written: {error.strerror}."
        text += " Check the path, its permissions and the disk."
    elif "operator torchvision::nms does not exist" in text:
        text = "torchvision must be built for the installed torch. It is not. Install both in one command: "
        text += "pip install --force-reinstall torch torchvision."
    elif not isinstance(error, RAdapterError):
        text = "This is a fault of radapter, not of the input. Please report it with the lines above."
        if _process_count() > 1:
            rank = f"Process {os.environ['RANK']} of {_process_count()} failed."
            text = f"{rank} If it reports that another process is gone, see that process's own lines.\n{text}"
        return OURS, text
    return INPUT, " ".join([text, *getattr(error, "__notes__", ())])


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Treats SIGTERM as Ctrl-C: half-written files are removed, and the exit code is 130."""

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


def _say(text: str, colour: str = "red") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    console.print(Text(text, style=colour), soft_wrap=not console.is_terminal)


def _log_to_terminal(*, quiet: bool) -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    log = logging.getLogger("radapter")
    if not log.handlers:
        console = Console(stderr=True)
        handler: logging.Handler = RichHandler(console=console, show_time=False, show_path=False)
        if not console.is_terminal:
            handler = _LineHandler()
            handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        log.addHandler(handler)
    level = logging.WARNING if quiet else logging.INFO
    log.setLevel(level if _is_main() else logging.CRITICAL)
