"""`radapter data check`."""

from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import DATA, command, data_app
from radapter_cli.options import AllowDownload, Task


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
    panel=DATA,
    has_json=True,
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
            metavar="TASK",
            help="classification for images with classes, retrieval for images with captions, segmentation for "
            "images with masks.",
            show_default="by the source",
        ),
    ] = None,
    layout: Annotated[str | None, Option(help="Layout of a public data set, such as imagenet-r.")] = None,
    whole: Annotated[bool, Option("--all", help="Decode every image instead of a sample.")] = False,
    allow_download: AllowDownload = False,
) -> object:
    """Report classes, images or masks, duplicates and damage. The exit code is 2 if a run would refuse the data."""
    from radapter.commands.data_check import data_check as run

    found = run(source, settings or [], task=task, layout=layout, whole=whole, allow_download=allow_download)
    return getattr(found, "figures", found)  # of pairs
