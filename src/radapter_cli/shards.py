"""`radapter shards`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from radapter_cli.application import command
from radapter_cli.options import AllowDownload


@command(
    "radapter shards path/to/class/folders --to shards",
    "radapter shards '{karpathy: dataset_coco.json, images: coco}' --to coco-shards --size 500MB",
    "radapter shards pairs.csv --task retrieval --to shards",
    note="If interrupted, run the same command again to continue.",
)
def shards(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A source as in run.yaml: a path or a YAML mapping; for pairs also a list."
        ),
    ],
    to: Annotated[Path, typer.Option(help="Directory of shards: new, or one that this command started.")],
    task: Annotated[
        Literal["classification", "retrieval"] | None,
        typer.Option(
            help="classification for images with classes, retrieval for images with captions.",
            show_default="by the source",
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Approximate size of a shard: 500MB, 2GB.")] = "1GB",
    apart: Annotated[
        bool,
        typer.Option("--apart", help="Do not join images that share a caption, as data.join_captions=false."),
    ] = False,
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Largest fraction of unreadable images; they are skipped.")
    ] = 0.01,
    allow_download: AllowDownload = False,
) -> None:
    """Write a data set as tar shards, to train on it without listing its images."""
    from radapter.commands.shards import shards as run

    run(
        data,
        to=to,
        task=task,
        size=size,
        join_captions=not apart,
        max_bad=max_bad,
        allow_download=allow_download,
    )
