"""The typer application, and the decorator that adds a command to it."""

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from radapter_cli.answers import answered, process_count

_P = ParamSpec("_P")
_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="radapter",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
    help="Fine-tune CLIP-like models on one distribution and keep them robust on the others.",
    epilog="Start with [bold]radapter demo[/], then [bold]radapter init classification --to run.yaml[/] and "
    "[bold]radapter train run.yaml[/]. Exit codes: 0 done, "
    "2 error in the input, 1 fault of radapter, 130 interrupted.",
)
data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings=_HELP,
    help="Check a data set before a run.",
)
app.add_typer(data_app, name="data")


def main() -> None:
    """Runs the `radapter` command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text
    if process_count() > 1:
        # DistributedDataParallel's C++ would advise, in every process, against a setting that is there for a reason
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    app()


def command(
    *examples: str,
    note: str = "",
    in_many_processes: bool = False,
    to: typer.Typer = app,
    name: str | None = None,
) -> Callable[[Callable[_P, None]], Callable[_P, None]]:
    """Adds a function to the application as a command.

    Args:
        examples: command lines, shown below the options.
        note: a sentence below the examples.
        in_many_processes: whether torchrun or accelerate launch may start it.
        to: the application that gets the command.
        name: of the command; None is the function's.
    """
    title = "Example" if len(examples) == 1 else "Examples"
    epilog = "\n\n".join(
        [f"{title}:", *(f"[bold]{example}[/]" for example in examples), *([note] if note else [])]
    )

    def added(function: Callable[_P, None]) -> Callable[_P, None]:
        return to.command(name, epilog=epilog)(answered(function, in_many_processes=in_many_processes))

    return added


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("radapter"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass
