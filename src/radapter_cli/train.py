"""`radapter train`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from radapter_cli.application import TRAIN, command
from radapter_cli.options import Config, Overrides


@command(
    "radapter train run.yaml",
    "radapter train run.yaml train.lr=3e-3 method=wise-ft --out runs/wise-ft",
    "radapter train run.yaml --resume",
    "torchrun --standalone --nproc-per-node 4 -m radapter_cli train run.yaml",
    in_many_processes=True,
    panel=TRAIN,
)
def train(
    config: Config,
    overrides: Overrides = None,
    out: Annotated[Path | None, Option(help="Run directory.", show_default="the file's out")] = None,
    resume: Annotated[
        bool,
        Option("--resume", help="Continue from the newest checkpoint, or start the run if there is none."),
    ] = False,
) -> None:
    """Fine-tune a model, select alpha on ID validation, and report ID and OOD accuracy."""
    from radapter.commands.train import train as run

    run(config, overrides or [], out=out, resume=resume)
