"""`radapter prompts`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import TRAIN, command
from radapter_cli.options import AllowDownload, RunOverrides


@command("radapter prompts runs/segmentation", panel=TRAIN)
def prompts(
    run_folder: Annotated[Path, Argument(metavar="RUN", help="A finished run of segmentation.")],
    overrides: RunOverrides = None,
    epochs: Annotated[
        int | None, Option(min=1, help="Passes over the regions.", show_default="the run's")
    ] = None,
    lr: Annotated[float | None, Option(help="Peak learning rate.", show_default="0.05")] = None,
    depth: Annotated[int, Option(min=1, help="Number of blocks with their own tokens.")] = 3,
    allow_download: AllowDownload = False,
) -> None:
    """Train mask prompts: tokens that replace the masked background of a region. Both towers stay frozen."""
    from radapter.commands.prompts import prompts as run

    run(run_folder, overrides or (), epochs=epochs, lr=lr, depth=depth, allow_download=allow_download)
