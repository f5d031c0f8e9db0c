"""`radapter serve`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import USE, command
from radapter_cli.options import AllowDownload


@command(
    "radapter serve runs/photos",
    "radapter serve runs/photos --data photos --index photos.safetensors --port 8000",
    panel=USE,
    note="The page has no password. By default only this machine can open it, which includes its other users; "
    "--host opens it to the network.",
)
def serve(
    run_folder: Annotated[Path, Argument(metavar="RUN", help="A run directory.")],
    data: Annotated[
        Path | None, Option(help="A folder to search by a sentence; images at any depth are searched.")
    ] = None,
    index: Annotated[
        Path | None, Option(help="Store features in this file; later, encode only new and changed images.")
    ] = None,
    host: Annotated[
        str, Option(help="Address to listen on; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 7860,
    max_mib: Annotated[int, Option(min=1, max=512, help="Largest uploaded file, in MiB.")] = 20,
    max_pixels: Annotated[int, Option(min=1, help="Largest uploaded image, in pixels.")] = 50_000_000,
    allow_download: AllowDownload = False,
) -> None:
    """Open a page in the browser: classify, segment and search with a run at any alpha."""
    from radapter.commands.serve import Limits
    from radapter.commands.serve import serve as run

    run(
        run_folder,
        data=data,
        index=index,
        host=host,
        port=port,
        limits=Limits(max_mib * 2**20, max_pixels),
        allow_download=allow_download,
    )
