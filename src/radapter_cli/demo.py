"""`radapter demo`."""

from pathlib import Path
from typing import Annotated

import typer

from radapter_cli.application import command


@command("radapter demo --out radapter-demo --seed 0")
def demo(
    out: Annotated[Path, typer.Option(help="New directory for results.json, the table and the plot.")] = Path(
        "radapter-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the data and the weights.")] = 0,
) -> None:
    """Compare every method on the synthetic benchmark: offline, on a CPU, in minutes."""
    from radapter.commands.demo import demo as run

    run(out, seed=seed)
