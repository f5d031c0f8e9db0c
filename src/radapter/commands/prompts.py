"""`radapter prompts`: the second stage of segmentation, on the run of a first."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.table import Table

from radapter.commands.encoders import config_of_run, merged_encoder_of
from radapter.commands.sweep import finished
from radapter.commands.terminal import bars, next_steps, say
from radapter.config import SegmentationRunConfig
from radapter.config.building import recipe_of
from radapter.config.segmentation import segmentation_suite
from radapter.data import Memory
from radapter.errors import ConfigError, RunError
from radapter.evaluation import Metrics
from radapter.manifests import forget, record
from radapter.methods import find_method
from radapter.models import load
from radapter.report.table import framed
from radapter.runs.evaluator import Evaluator
from radapter.runs.mask_prompts import tune_prompts
from radapter.runs.results import SweepRow
from radapter.segmentation import MaskPrompts
from radapter.storage import lock, write_json
from radapter.training import Environment
from radapter.zeroshot import Classifier

FILE, FIGURES = "mask_prompts.safetensors", "mask_prompts.json"


def prompts(
    run: Path,
    *,
    epochs: int | None = None,
    lr: float | None = None,
    depth: int = 3,
    allow_download: bool = False,
) -> Path:
    """Trains mask prompts for a run's encoder at its alpha, and measures every set without and with them.

    Args:
        run: a finished run of segmentation; its regions, batch size, margin and label smoothing are used again.
        epochs: passes over the regions; None for the run's.
        lr: peak learning rate; None for the method's own.
        depth: the first so many blocks have tokens of their own.
        allow_download: whether the hub may be asked.

    Returns:
        The file of the tokens, in the run's folder, where an older one is replaced.

    Raises:
        InputError: the run is not finished, not of segmentation, trained nothing or has no ID validation, the model
            takes no prompts, or a setting.
    """
    if lr is not None and not 0 < lr < float("inf"):
        raise ConfigError(f"--lr must be a number above 0. Got {lr}. Leave it out for 0.05.")
    finished(run)
    config = config_of_run(run, allow_download=allow_download)
    if not isinstance(config, SegmentationRunConfig):
        raise ConfigError(f"prompts are for runs of segmentation. '{run}' is of {config.task}.")
    if find_method(config.method.name, config.task).build is None:
        raise RunError(
            f"mask prompts are for an encoder that was trained. '{run}' is of {config.method.name}. "
            "Train with another method."
        )
    if config.data.id_val is None:
        raise RunError(
            f"mask prompts need data.id_val: their epoch is chosen on it. '{run}' has none. Train a run that has it."
        )
    recipe = replace(
        recipe_of(config), learning_rate=lr, epochs=config.train.epochs if epochs is None else epochs
    )
    encoder = merged_encoder_of(run, allow_download=allow_download)
    MaskPrompts(encoder, depth=depth)  # raises before anything is read
    suite = segmentation_suite(config, load(config.model, allow_download=allow_download))
    assert suite.train is not None
    with lock(run), bars() as bar:
        bar.starting("mask prompts")
        environment = Environment(memory=Memory(), report=bar.report, evaluated=bar.evaluated)
        prompted = tune_prompts(
            encoder, suite, recipe, depth=depth, seed=config.seed, environment=environment
        )
        evaluator = Evaluator(suite.prompted(), prompted, recipe, environment)
        without, with_prompts = evaluator.states(
            "mask-prompts", Classifier(prompted, None), prompted.at, (0.0, 1.0)
        ).rows
        figures = {
            name: {"without": fill["miou"], "with": tokens["miou"]}
            for (name, fill), tokens in zip(_sets(without).items(), _sets(with_prompts).values(), strict=True)
        }
        (run / FIGURES).unlink(missing_ok=True)  # figures never stand beside tokens that are not theirs
        forget(run, FILE)
        prompted.prompts.save(run / FILE)
        write_json(run / FIGURES, figures)
        record(run, FILE)
    Console().print(_table(figures))
    count = prompted.prompts.tokens.numel()
    say(f"{count:,} numbers were trained on {len(suite.train):,} regions; the encoder is as it was.")
    say(f"In {run}: {FILE}, {FIGURES}.")
    next_steps(
        (
            "segment with them",
            f"radapter segment {shlex.quote(str(run))} --mask-prompts {shlex.quote(str(run / FILE))} "
            '--image photo.jpg --classes "sky, road, tree" --to out.png',
        )
    )
    return run / FILE


def _sets(row: SweepRow) -> dict[str, Metrics]:
    """ID validation first, then the test sets."""
    validation = {} if row.id_val is None else {"id_val": row.id_val}
    return {**validation, **row.id, **row.ood}


def _table(figures: Mapping[str, Mapping[str, float]]) -> Group:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Set")
    for column in ("Fill colour", "Mask prompts", "Gain"):
        table.add_column(column, justify="right")
    for name, of in figures.items():
        gain = of["with"] - of["without"]
        table.add_row(name, f"{100 * of['without']:.1f}", f"{100 * of['with']:.1f}", f"{100 * gain:+.1f}")
    return framed(table, title="mIoU in %, without and with mask prompts")
