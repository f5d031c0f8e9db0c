"""`radapter merge`."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from radapter_cli.application import USE, command
from radapter_cli.options import AllowDownload, Alpha


@command(
    "radapter merge runs/world --alpha 0.5 --out merged --format open_clip",
    "radapter merge runs/world --out merged-onnx --format onnx",
    "radapter merge compared --method r-adapter --seed 0 --out merged",
    panel=USE,
)
def merge(
    run_folder: Annotated[
        Path, Argument(metavar="RUN|COMPARISON", help="A run directory, or the directory of a comparison.")
    ],
    out: Annotated[Path, Option(help="New directory for the plain checkpoint.")],
    alpha: Alpha = None,
    format: Annotated[
        Literal["transformers", "open_clip", "timm", "onnx"] | None,
        Option(
            metavar="LIBRARY",
            help="The library that will load it: transformers, open_clip or onnx (needs the extra onnx).",
            show_default="the model's own",
        ),
    ] = None,
    method: Annotated[str | None, Option(help="The method to merge, for a comparison.")] = None,
    seed: Annotated[
        int | None, Option(help="The seed to merge, for a comparison.", show_default="its first")
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Write a plain checkpoint that does not need radapter and has no extra inference cost."""
    from radapter.commands.runs import merge as run

    run(run_folder, out, alpha=alpha, format=format, method=method, seed=seed, allow_download=allow_download)
