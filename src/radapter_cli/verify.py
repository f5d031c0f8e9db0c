"""`radapter verify`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from radapter_cli.application import INPUT, LOOK, command


@command(
    "radapter verify runs/world",
    "radapter verify merged --json",
    note="The exit code is 2 if a file is damaged or missing.",
    panel=LOOK,
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
