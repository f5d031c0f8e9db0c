"""`radapter search`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import USE, command
from radapter_cli.options import AllowDownload, RunOrModel


@command(
    "radapter search runs/world --data photos 'a red car' --top 20",
    "radapter search runs/photos --data photos 'a cat' 'a dog' --out hits.html --index photos.safetensors",
    panel=USE,
    has_json=True,
)
def search(
    what: RunOrModel,
    queries: Annotated[list[str], Argument(metavar="TEXT...", help="Text to search for, in quotes.")],
    data: Annotated[Path, Option(help="A folder; images at any depth are searched.")],
    top: Annotated[int, Option(min=1, help="Number of hits per text.")] = 10,
    out: Annotated[Path | None, Option(help="Write the hits as an HTML page with thumbnails.")] = None,
    index: Annotated[
        Path | None, Option(help="Store features in this file; later, encode only new and changed images.")
    ] = None,
    allow_download: AllowDownload = False,
) -> object:
    """Find the images in a folder that match a text."""
    from radapter.commands.search import search as run

    return run(what, queries, images=data, top=top, html=out, index=index, allow_download=allow_download)
