"""`radapter init`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import START, command
from radapter_cli.options import TASKS, Task


@command(
    "radapter init classification --out run.yaml",
    "radapter init retrieval --out run.yaml",
    "radapter init segmentation --out run.yaml",
    panel=START,
)
def init(
    task: Annotated[Task, Argument(metavar="TASK", show_choices=False, help=f"The task to learn: {TASKS}.")],
    out: Annotated[Path, Option(help="File to write; an existing file is not overwritten.")],
) -> None:
    """Write a commented run.yaml that trains as it is, on the synthetic benchmark."""
    from radapter.commands.init import init as run

    run(task, out)
