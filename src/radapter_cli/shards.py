"""`radapter shards`."""

from typing import Annotated, Literal

from typer import Argument, Option

from radapter_cli.application import DATA, command
from radapter_cli.options import AllowDownload, Shards


@command(
    "radapter shards path/to/class/folders --out shards",
    "radapter shards '{karpathy: dataset_coco.json, images: coco}' --out coco-shards --size 500MB",
    "radapter shards pairs.csv --task retrieval --out shards",
    note="If interrupted, run the same command again to continue.",
    panel=DATA,
)
def shards(
    data: Annotated[
        str,
        Argument(
            metavar="DATA", help="A source as in run.yaml: a path or a YAML mapping; for pairs also a list."
        ),
    ],
    out: Shards,
    task: Annotated[
        Literal["classification", "retrieval"] | None,
        Option(
            metavar="TASK",
            help="classification for images with classes, retrieval for images with captions.",
            show_default="by the source",
        ),
    ] = None,
    size: Annotated[str, Option(help="Approximate size of a shard: 500MB, 2GB.")] = "1GB",
    apart: Annotated[
        bool,
        Option(
            "--apart",
            help="Do not treat images that share a caption as positives of each other, as data.join_captions=false "
            "does.",
        ),
    ] = False,
    max_bad: Annotated[
        float,
        Option(
            min=0, max=1, metavar="FRACTION", help="Largest fraction of unreadable images; they are skipped."
        ),
    ] = 0.01,
    allow_download: AllowDownload = False,
) -> None:
    """Write a data set as tar shards, to train on it without listing its images."""
    from radapter.commands.shards import shards as run

    join = not apart
    run(data, out, task=task, size=size, join=join, max_bad=max_bad, allow_download=allow_download)
