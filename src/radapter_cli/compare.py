"""`radapter compare`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from radapter_cli.application import TRAIN, command
from radapter_cli.options import Config, Overrides


@command(
    "radapter compare run.yaml --methods full,wise-ft,r-adapter --seeds 3 --out compared",
    "radapter compare run.yaml --methods ablation --seeds 3 --out ablation",
    note="If interrupted, run the same command again to continue.",
    panel=TRAIN,
)
def compare(
    config: Config,
    overrides: Overrides = None,
    methods: Annotated[
        str,
        Option(
            help="Comma-separated names of methods or groups. foundation: zero-shot, full, flyp, lora, wise-ft, "
            "r-adapter and r-adapter+head, as far as the task has them. all: every method. ablation: r-adapter with "
            "one part changed at a time."
        ),
    ] = "foundation",
    seeds: Annotated[int, Option(min=1, help="Number of seeds, starting at the file's 'seed'.")] = 3,
    grid: Annotated[str | None, Option(hidden=True)] = None,
    standard_models: Annotated[
        Path | None,
        Option(
            help="A CSV with columns model, id and ood of standard models; adds effective and relative robustness."
        ),
    ] = None,
    out: Annotated[
        Path | None, Option(help="Directory of the comparison.", show_default="the file's out")
    ] = None,
) -> None:
    """Compare methods over several seeds. Learning rate, epoch and alpha are selected on ID validation."""
    from radapter.commands.compare import compare as run
    from radapter.errors import ConfigError

    if grid is not None:
        raise ConfigError(
            f"--grid was removed, got '{grid}'. Every method is searched at compare.points learning rates around a "
            "centre of its own; set centres with compare.rates, such as 'compare.rates={full: 1e-4}'."
        )
    run(config, overrides or [], methods=methods, seeds=seeds, standard_models=standard_models, out=out)
