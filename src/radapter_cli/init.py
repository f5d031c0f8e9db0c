"""`radapter init`."""

from pathlib import Path
from typing import Annotated

import typer

from radapter_cli.application import command
from radapter_cli.options import Task


@command(
    "radapter init classification --to run.yaml",
    "radapter init retrieval --to run.yaml",
    "radapter init segmentation --to run.yaml",
)
def init(
    task: Annotated[Task, typer.Argument(help="The task to learn.")],
    to: Annotated[Path, typer.Option(help="File to write; an existing file is not overwritten.")],
) -> None:
    """Write a commented run.yaml that trains as it is, on the synthetic benchmark."""
    from radapter.commands.init import init as run

    run(task, to)
