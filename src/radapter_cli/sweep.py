"""`radapter sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from radapter_cli.application import command


@command("radapter sweep runs/run")
def sweep(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
) -> None:
    """Show ID and OOD results for every alpha of a run."""
    from radapter.commands.sweep import sweep as run

    run(run_folder)
