"""`radapter embed`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from radapter_cli.application import USE, command
from radapter_cli.options import AllowDownload, Alpha, BatchSize, Device, MaxBad, RunOrFolder, Workers


@command(
    "radapter embed runs/photos --data photos --out photos.npy",
    "radapter embed world:tiny --data '{world: sketch}' --texts 'a red star, a car' --out sketches.safetensors",
    "radapter embed merged --texts captions.txt --out captions.parquet",
    panel=USE,
    has_json=True,
)
def embed(
    what: RunOrFolder,
    out: Annotated[
        Path,
        Option(
            help="A new .npy file (the names of its rows go into a .json beside it), .parquet or .safetensors."
        ),
    ],
    data: Annotated[
        str | None, Option(help="An image, a folder (images at any depth), or a source as in run.yaml.")
    ] = None,
    texts: Annotated[
        str | None, Option(help="A file with one text per line, or comma-separated texts.")
    ] = None,
    alpha: Alpha = None,
    max_bad: MaxBad = None,
    batch_size: BatchSize = 64,
    workers: Workers = None,
    device: Device = None,
    allow_download: AllowDownload = False,
) -> object:
    """Write unit-norm features of images and texts, for search, clustering or a classifier of your own."""
    from radapter.commands.inference import Loading
    from radapter.commands.inference import embed as run

    return run(
        what,
        data,
        texts=texts,
        to=out,
        alpha=alpha,
        loading=Loading(batch_size, workers, device, max_bad, allow_download),
    )
