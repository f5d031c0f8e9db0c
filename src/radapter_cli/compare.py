"""`radapter compare`."""

from pathlib import Path
from typing import Annotated

import typer

from radapter_cli.application import command
from radapter_cli.options import Config, Overrides


@command(
    "radapter compare run.yaml --methods full,wise-ft,r-adapter --seeds 3 --out compared",
    "radapter compare run.yaml --methods ablation --seeds 3 --out ablation",
    note="If interrupted, run the same command again to continue.",
)
def compare(
    config: Config,
    overrides: Overrides = None,
    methods: Annotated[
        str,
        typer.Option(help="Comma-separated names, or the groups foundation, all, ablation."),
    ] = "foundation",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, starting at the file's 'seed'.")] = 3,
    grid: Annotated[str | None, typer.Option(hidden=True)] = None,
    standard_models: Annotated[
        Path | None,
        typer.Option(
            help="A CSV with columns model, id and ood of standard models; adds effective and relative robustness.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Directory; overrides the file's 'out'.")] = None,
) -> None:
    """Compare methods over several seeds; learning rate, epoch and alpha are selected on ID validation only."""
    if grid is not None:
        from radapter.errors import ConfigError

        raise ConfigError(
            f"--grid was removed, got '{grid}'. Every method is searched at compare.points learning rates around a "
            "centre of its own; set centres with compare.rates, such as 'compare.rates={full: 1e-4}'."
        )
    from radapter.commands.compare import compare as run

    run(
        config,
        overrides or [],
        methods=methods,
        seeds=seeds,
        standard_models=standard_models,
        out=out,
    )
