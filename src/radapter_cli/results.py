"""Commands that look at runs, models and data, and convert them: sweep, merge, verify, inspect and others."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Exit, Option

from radapter_cli.application import INPUT, command, data_app
from radapter_cli.options import AllowDownload, Alpha, Shards, Task


@command("radapter sweep runs/run")
def sweep(run_folder: Annotated[Path, Argument(metavar="RUN", help="A run directory.")]) -> None:
    """Show ID and OOD results for every alpha of a run."""
    from radapter.commands.runs import sweep as run

    run(run_folder)


@command(
    "radapter merge runs/run --alpha 0.5 --to merged --format open_clip",
    "radapter merge compared --method r-adapter --seed 0 --to merged",
)
def merge(
    run_folder: Annotated[
        Path, Argument(metavar="RUN|COMPARISON", help="A run directory, or the directory of a comparison.")
    ],
    to: Annotated[Path, Option(help="New directory for the plain checkpoint.")],
    alpha: Alpha = None,
    format: Annotated[
        Literal["transformers", "open_clip", "timm"] | None,
        Option(help="The library that will load it; default: the model's own."),
    ] = None,
    method: Annotated[str | None, Option(help="The method to merge, for a comparison.")] = None,
    seed: Annotated[
        int | None, Option(help="The seed to merge, for a comparison; default: its first.")
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Write a plain checkpoint that does not need radapter and has no extra inference cost."""
    from radapter.commands.runs import merge as run

    run(run_folder, to, alpha=alpha, format=format, method=method, seed=seed, allow_download=allow_download)


@command(
    "radapter verify runs/run",
    "radapter verify merged --json",
    note="The exit code is 2 if a file is damaged or missing.",
)
def verify(
    path: Annotated[
        Path,
        Argument(
            metavar="PATH",
            help="A run, a comparison, a merged directory, shards, mined regions, or a search index.",
        ),
    ],
    as_json: Annotated[bool, Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare files with their recorded SHA-256; show what --resume would do and which base model is needed."""
    from radapter.commands.verify import verify as run

    if not run(path, as_json=as_json):
        raise Exit(INPUT)


@command("radapter inspect open_clip:ViT-B-16 --r 4")
def inspect(
    model: Annotated[str, Argument(metavar="MODEL", help="A model's name, as in run.yaml.")],
    r: Annotated[int | None, Option(help="Rank; default: the full matrix.")] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Show a model's towers, adapter sites and trainable parameters."""
    from radapter.commands.inspect import inspect as run

    run(model, r=r, allow_download=allow_download)


@command("radapter methods open_clip:ViT-B-16 --classes 1000")
def methods(
    model: Annotated[
        str,
        Argument(metavar="MODEL", help="Model, as in run.yaml, whose trainable parameters are counted."),
    ] = "world:tiny",
    task: Annotated[Task, Option(help="The task whose methods are listed.")] = "classification",
    classes: Annotated[
        int | None, Option(min=1, help="Number of classes, for methods with a head.", show_default="20")
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """List the methods, their trainable parameters on a model, and their sources."""
    from radapter.commands.inspect import methods as run

    run(model, task=task, classes=classes, allow_download=allow_download)


@command(
    "radapter shards path/to/class/folders --to shards",
    "radapter shards '{karpathy: dataset_coco.json, images: coco}' --to coco-shards --size 500MB",
    "radapter shards pairs.csv --task retrieval --to shards",
    note="If interrupted, run the same command again to continue.",
)
def shards(
    data: Annotated[
        str,
        Argument(
            metavar="DATA", help="A source as in run.yaml: a path or a YAML mapping; for pairs also a list."
        ),
    ],
    to: Shards,
    task: Annotated[
        Literal["classification", "retrieval"] | None,
        Option(
            help="classification for images with classes, retrieval for images with captions.",
            show_default="by the source",
        ),
    ] = None,
    size: Annotated[str, Option(help="Approximate size of a shard: 500MB, 2GB.")] = "1GB",
    apart: Annotated[
        bool, Option("--apart", help="Do not join images that share a caption, as data.join_captions=false.")
    ] = False,
    max_bad: Annotated[
        float, Option(min=0, max=1, help="Largest fraction of unreadable images; they are skipped.")
    ] = 0.01,
    allow_download: AllowDownload = False,
) -> None:
    """Write a data set as tar shards, to train on it without listing its images."""
    from radapter.commands.shards import shards as run

    join = not apart
    run(data, to, task=task, size=size, join=join, max_bad=max_bad, allow_download=allow_download)


@command(
    "radapter data check path/to/class/folders",
    "radapter data check imagenet-r --layout imagenet-r",
    "radapter data check imagenet --layout imagenet split=val --all",
    "radapter data check '{csv: sketches.csv, image: path, label: species}'",
    "radapter data check pairs.parquet --task retrieval",
    "radapter data check ADEChallengeData2016 --layout ade20k-150",
    "radapter data check '{images: photos, masks: labels, classes: names.txt, ignore: 255}'",
    to=data_app,
    name="check",
)
def data_check(
    source: Annotated[str, Argument(metavar="SOURCE", help="A path, or a YAML mapping as in run.yaml.")],
    settings: Annotated[
        list[str] | None,
        Argument(metavar="KEY=VALUE", help="Further keys of the source, such as split=val."),
    ] = None,
    task: Annotated[
        Task | None,
        Option(
            help="classification for images with classes, retrieval for images with captions, segmentation for "
            "images with masks.",
            show_default="by the source",
        ),
    ] = None,
    layout: Annotated[str | None, Option(help="Layout of a public data set, such as imagenet-r.")] = None,
    whole: Annotated[bool, Option("--all", help="Decode every image instead of a sample.")] = False,
    allow_download: AllowDownload = False,
) -> None:
    """Describe a data set: classes, images or masks, duplicates, damage. Exit code 2 if a run would refuse it."""
    from radapter.commands.data_check import data_check as run

    run(source, settings or [], task=task, layout=layout, whole=whole, allow_download=allow_download)
