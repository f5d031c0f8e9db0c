"""`radapter sweep`."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from radapter_cli.application import LOOK, command


@command(
    "radapter sweep runs/world",
    panel=LOOK,
    has_json=True,
)
def sweep(run_folder: Annotated[Path, Argument(metavar="RUN", help="A run directory.")]) -> object:
    """Show ID and OOD results for every alpha of a run."""
    from radapter.commands.runs import sweep as run

    return run(run_folder)
