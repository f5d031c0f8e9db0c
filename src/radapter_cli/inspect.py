"""`radapter inspect`."""

from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import LOOK, command
from radapter_cli.options import AllowDownload


@command(
    "radapter inspect open_clip:ViT-B-16 --r 4",
    panel=LOOK,
    has_json=True,
)
def inspect(
    model: Annotated[
        str, Argument(metavar="MODEL", help="A model's name, as in run.yaml, or a merged directory.")
    ],
    r: Annotated[int | None, Option(help="Rank.", show_default="the full matrix")] = None,
    allow_download: AllowDownload = False,
) -> object:
    """Show a model's towers, adapter sites and trainable parameters."""
    from radapter.commands.inspect import inspect as run

    return run(model, r=r, allow_download=allow_download)
