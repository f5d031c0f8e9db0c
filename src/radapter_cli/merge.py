"""`radapter merge`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from radapter_cli.application import command
from radapter_cli.options import AllowDownload, Alpha


@command(
    "radapter merge runs/run --alpha 0.5 --to merged --format open_clip",
    "radapter merge compared --method r-adapter --seed 0 --to merged",
)
def merge(
    run_folder: Annotated[
        Path,
        typer.Argument(metavar="RUN|COMPARISON", help="A run directory, or the directory of a comparison."),
    ],
    to: Annotated[Path, typer.Option(help="New directory for the plain checkpoint.")],
    alpha: Alpha = None,
    format: Annotated[
        Literal["transformers", "open_clip", "timm"] | None,
        typer.Option(help="The library that will load it; default: the model's own.", show_default=False),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="The method to merge, for a comparison.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The seed to merge, for a comparison; default: its first.", show_default=False),
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Write a plain checkpoint that does not need radapter and has no extra inference cost."""
    from radapter.commands.merge import merge as run

    run(
        run_folder,
        to=to,
        alpha=alpha,
        format=format,
        method=method,
        seed=seed,
        allow_download=allow_download,
    )
