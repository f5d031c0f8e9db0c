"""`radapter demo`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from radapter_cli.application import START, command


@command("radapter demo --out radapter-demo --seed 0", panel=START)
def demo(
    out: Annotated[
        Path, Option(help="Directory for results.json, the table and the plot: new, or of an earlier demo.")
    ] = Path("radapter-demo"),
    seed: Annotated[int, Option(min=0, help="Seed of the data and the weights.")] = 0,
) -> None:
    """Compare six methods with zero-shot on the synthetic benchmark: offline, on a CPU, in minutes."""
    from radapter.commands.demo import demo as run

    run(out, seed=seed)
