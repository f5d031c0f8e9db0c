"""`radapter search`."""

from pathlib import Path
from typing import Annotated

import typer

from radapter_cli.application import command
from radapter_cli.options import AllowDownload, RunOrModel


@command(
    "radapter search runs/run --images photos 'a red car' --top 20",
    "radapter search world:tiny --images photos 'a cat' 'a dog' --html hits.html --index photos.safetensors",
)
def search(
    what: RunOrModel,
    queries: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Text to search for, in quotes.")],
    images: Annotated[Path, typer.Option(help="A folder; images at any depth are searched.")],
    top: Annotated[int, typer.Option(min=1, help="Number of hits per text.")] = 10,
    html: Annotated[
        Path | None, typer.Option(help="Write the hits as an HTML page with thumbnails.", show_default=False)
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            help="Store features in this file; later only new and changed images are encoded.",
            show_default=False,
        ),
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Find the images in a folder that match a text."""
    from radapter.commands.search import search as run

    run(
        what,
        queries,
        images=images,
        top=top,
        html=html,
        index=index,
        allow_download=allow_download,
    )
