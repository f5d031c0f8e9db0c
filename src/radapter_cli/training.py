"""Commands that train: demo, init, train, compare."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import command
from radapter_cli.options import Config, Overrides, Task


@command("radapter demo --out radapter-demo --seed 0")
def demo(
    out: Annotated[Path, Option(help="New directory for results.json, the table and the plot.")] = Path(
        "radapter-demo"
    ),
    seed: Annotated[int, Option(min=0, help="Seed of the data and the weights.")] = 0,
) -> None:
    """Compare every method on the synthetic benchmark: offline, on a CPU, in minutes."""
    from radapter.commands.demo import demo as run

    run(out, seed=seed)


@command(
    "radapter init classification --to run.yaml",
    "radapter init retrieval --to run.yaml",
    "radapter init segmentation --to run.yaml",
)
def init(
    task: Annotated[Task, Argument(help="The task to learn.")],
    to: Annotated[Path, Option(help="File to write; an existing file is not overwritten.")],
) -> None:
    """Write a commented run.yaml that trains as it is, on the synthetic benchmark."""
    from radapter.commands.init import init as run

    run(task, to)


@command(
    "radapter train run.yaml",
    "radapter train run.yaml train.lr=3e-3 method=wise-ft --out runs/wise-ft",
    "radapter train run.yaml --resume",
    "torchrun --nproc-per-node 4 -m radapter_cli train run.yaml",
    in_many_processes=True,
)
def train(
    config: Config,
    overrides: Overrides = None,
    out: Annotated[Path | None, Option(help="Run directory; overrides the file's 'out'.")] = None,
    resume: Annotated[bool, Option("--resume", help="Continue from the newest checkpoint.")] = False,
) -> None:
    """Fine-tune a model, choose alpha on ID validation, report ID and OOD."""
    from radapter.commands.train import train as run

    run(config, overrides or [], out=out, resume=resume)


@command(
    "radapter compare run.yaml --methods full,wise-ft,r-adapter --seeds 3 --out compared",
    "radapter compare run.yaml --methods ablation --seeds 3 --out ablation",
    note="If interrupted, run the same command again to continue.",
)
def compare(
    config: Config,
    overrides: Overrides = None,
    methods: Annotated[
        str, Option(help="Comma-separated names, or the groups foundation, all, ablation.")
    ] = "foundation",
    seeds: Annotated[int, Option(min=1, help="Number of seeds, starting at the file's 'seed'.")] = 3,
    grid: Annotated[str | None, Option(hidden=True)] = None,
    standard_models: Annotated[
        Path | None,
        Option(
            help="A CSV with columns model, id and ood of standard models; adds effective and relative robustness."
        ),
    ] = None,
    out: Annotated[Path | None, Option(help="Directory; overrides the file's 'out'.")] = None,
) -> None:
    """Compare methods over several seeds; learning rate, epoch and alpha are selected on ID validation only."""
    from radapter.commands.compare import compare as run
    from radapter.errors import ConfigError

    if grid is not None:
        raise ConfigError(
            f"--grid was removed, got '{grid}'. Every method is searched at compare.points learning rates around a "
            "centre of its own; set centres with compare.rates, such as 'compare.rates={full: 1e-4}'."
        )
    run(config, overrides or [], methods=methods, seeds=seeds, standard_models=standard_models, out=out)
