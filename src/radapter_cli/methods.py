"""`radapter methods`."""

from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import LOOK, command
from radapter_cli.options import TASKS, AllowDownload, Task


@command(
    "radapter methods open_clip:ViT-B-16 --classes 1000",
    panel=LOOK,
    has_json=True,
)
def methods(
    model: Annotated[
        str,
        Argument(metavar="MODEL", help="Model, as in run.yaml, whose trainable parameters are counted."),
    ] = "world:tiny",
    task: Annotated[
        Task, Option(metavar="TASK", help=f"The task whose methods are listed: {TASKS}.")
    ] = "classification",
    classes: Annotated[
        int | None, Option(min=1, help="Number of classes, for methods with a head.", show_default="20")
    ] = None,
    allow_download: AllowDownload = False,
) -> object:
    """List the methods, their trainable parameters on a model, and their sources."""
    from radapter.commands.inspect import methods as run

    return run(model, task=task, classes=classes, allow_download=allow_download)
