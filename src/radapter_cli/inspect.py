"""`radapter inspect`."""

from typing import Annotated

import typer

from radapter_cli.application import command
from radapter_cli.options import AllowDownload, Model


@command("radapter inspect open_clip:ViT-B-16 --r 4")
def inspect(
    model: Model,
    r: Annotated[int | None, typer.Option(help="Rank; default: the full matrix.", show_default=False)] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Show a model's towers, adapter sites and trainable parameters."""
    from radapter.commands.inspect import inspect as run

    run(model, r=r, allow_download=allow_download)
