"""`radapter push`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import USE, command


@command(
    "radapter push runs/world OWNER/NAME --private",
    "radapter push merged OWNER/NAME --dry-run",
    note="The token is that of 'hf auth login' or HF_TOKEN.",
    has_json=True,
    panel=USE,
)
def push(
    folder: Annotated[
        Path,
        Argument(metavar="RUN|DIR", help="A run directory, its directory adapter, or a merged directory."),
    ],
    repository: Annotated[
        str, Argument(metavar="OWNER/NAME", help="The repository on the Hugging Face Hub.")
    ],
    private: Annotated[bool, Option("--private", help="Create a private repository.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="List the files and upload nothing.")] = False,
) -> object:
    """Upload a run or a merged model with its model card to the Hugging Face Hub."""
    from radapter.commands.push import push as run

    return run(folder, repository, private=private, dry_run=dry_run)
