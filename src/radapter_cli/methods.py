"""`radapter methods`."""

from typing import Annotated

import typer

from radapter_cli.application import command
from radapter_cli.options import AllowDownload, Task


@command("radapter methods open_clip:ViT-B-16 --classes 1000")
def methods(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Model, as in run.yaml, whose trainable parameters are counted."
        ),
    ] = "world:tiny",
    task: Annotated[Task, typer.Option(help="The task whose methods are listed.")] = "classification",
    classes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of classes, for methods with a head.", show_default="20"),
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """List the methods, their trainable parameters on a model, and their sources."""
    from radapter.commands.methods import methods as run

    run(model, task=task, classes=classes, allow_download=allow_download)
