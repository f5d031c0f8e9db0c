"""`radapter predict`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from radapter_cli.application import USE, command
from radapter_cli.options import AllowDownload, Alpha, BatchSize, Device, MaxBad, RunOrFolder, Workers


@command(
    "radapter predict runs/photos --data photos --out predictions.csv",
    "radapter predict world:tiny --data '{world: sketch}' --classes 'star, moon, car' --out predictions.jsonl",
    "radapter predict merged --data photos --top 3 --out predictions.parquet",
    panel=USE,
    has_json=True,
    note="The zero-shot column is empty for a merged directory whose base model is not on this machine.",
)
def predict(
    what: RunOrFolder,
    data: Annotated[
        str, Option(help="An image, a folder (images at any depth), or a source as in run.yaml.")
    ],
    out: Annotated[Path, Option(help="A new .csv, .jsonl or .parquet file: one row per image.")],
    classes: Annotated[
        str | None,
        Option(
            help="Comma-separated names, or a file with one per line; default: those of the run or the merged "
            "directory."
        ),
    ] = None,
    templates: Annotated[
        str | None,
        Option(
            help="short, imagenet, a file or a YAML list; default: those of the run or the merged directory."
        ),
    ] = None,
    top: Annotated[int, Option(help="Number of classes per image.")] = 5,
    alpha: Alpha = None,
    raw: Annotated[bool, Option("--raw", help="Leave probabilities uncalibrated.")] = False,
    max_bad: MaxBad = None,
    batch_size: BatchSize = 64,
    workers: Workers = None,
    device: Device = None,
    allow_download: AllowDownload = False,
) -> object:
    """Write the class of every image, with calibrated probabilities and the zero-shot model's answer beside it."""
    from radapter.commands.inference import Classes, Loading
    from radapter.commands.inference import predict as run

    return run(
        what,
        data,
        to=out,
        classes=Classes(classes, templates),
        alpha=alpha,
        raw=raw,
        top=top,
        loading=Loading(batch_size, workers, device, max_bad, allow_download),
    )
