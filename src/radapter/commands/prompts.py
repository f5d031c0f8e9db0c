"""`radapter prompts`: the second stage of segmentation, after a run of the first."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from radapter.commands.encoders import merged_encoder_of
from radapter.commands.terminal import next_steps, plain_table, say
from radapter.config import SegmentationRunConfig
from radapter.config.building import recipe_of
from radapter.config.schema import TRAIN_KEYS
from radapter.config.segmentation import segmentation_suite
from radapter.data import Memory
from radapter.errors import ConfigError, RunError
from radapter.evaluation import Metrics
from radapter.manifests import forget, record
from radapter.methods import find_method
from radapter.models import load
from radapter.operations.bars import bars
from radapter.operations.evaluating import check_overrides, config_of_run
from radapter.processes import ALONE
from radapter.report.table import framed
from radapter.run import open_run
from radapter.runs.evaluator import Evaluator
from radapter.runs.mask_prompts import tune_prompts
from radapter.runs.results import SweepRow
from radapter.segmentation import MaskPrompts
from radapter.storage import free, lock, write_json
from radapter.training import Environment
from radapter.zeroshot import Classifier

FILE, FIGURES = "mask_prompts.safetensors", "mask_prompts.json"
_UNREAD = {"keep", "fsdp", "gradient_checkpointing", "checkpoint_every", "checkpoint_minutes"}
READS = (
    *("seed", "data", "regions", "loss.margin", "loss.label_smoothing"),
    *(f"train.{key}" for key in TRAIN_KEYS if key not in _UNREAD),
)
"""Keys of run.yaml that decide how prompts are trained and tested. The rate is `--lr`; epochs are `--epochs` too."""


def prompts(
    run: Path,
    overrides: Sequence[str] = (),
    *,
    epochs: int | None,
    lr: float | None,
    depth: int,
    allow_download: bool,
) -> None:
    """Trains mask prompts for a run's encoder at its alpha, and measures every set without and with them.

    The settings are the run's, with `overrides` for some of them. An older file of prompts is replaced.

    Raises:
        InputError: the run is not finished, not of segmentation, trained nothing or has no ID validation, or the
            model takes no prompts.
    """
    if lr is not None and not 0 < lr < float("inf"):
        raise ConfigError(f"--lr must be a number above 0. Got {lr}. Leave it out for 0.05.")
    open_run(run)
    check_overrides(overrides, READS, command="prompts")
    config = config_of_run(run, overrides, allow_download=allow_download)
    if not isinstance(config, SegmentationRunConfig):
        raise ConfigError(f"prompts are for runs of segmentation. '{run}' is one of {config.task}.")
    if find_method(config.method.name, config.task).build is None:
        raise RunError(
            f"mask prompts need a trained encoder. '{run}' is a run of {config.method.name}. Train another method."
        )
    if config.data.id_val is None:
        raise RunError(
            f"mask prompts need data.id_val to choose their epoch. '{run}' has none. Train a run that has it."
        )
    recipe = replace(recipe_of(config), learning_rate=lr, epochs=epochs or config.train.epochs)
    encoder = merged_encoder_of(run, allow_download=allow_download)
    MaskPrompts(encoder, depth=depth)  # raises before anything is read
    suite = segmentation_suite(config, load(config.model, allow_download=allow_download), ALONE)
    assert suite.train is not None
    with lock(run), bars() as bar:
        bar.starting("training mask prompts")
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
        (run / FIGURES).unlink(missing_ok=True)  # figures never lie beside other prompts
        forget(run, FILE)
        prompted.prompts.save(run / FILE)
        write_json(run / FIGURES, figures)
        record(run, FILE)
    table = plain_table("Set", "Fill colour", "Mask prompts", "Gain", left=("Set",))
    for name, of in figures.items():
        gain = of["with"] - of["without"]
        table.add_row(name, f"{100 * of['without']:.1f}", f"{100 * of['with']:.1f}", f"{100 * gain:+.1f}")
    Console().print(framed(table, title="mIoU in %, without and with mask prompts"))
    count = f"{prompted.prompts.tokens.numel():,} numbers were trained on {len(suite.train):,} regions"
    say(f"{count}; the encoder is unchanged.\nIn {run}: {FILE}, {FIGURES}.")
    given = shlex.join(["radapter", "segment", str(run), "--mask-prompts", str(run / FILE)])
    to = free("out.png")
    next_steps(("segment with them", f'{given} --data photo.jpg --classes "sky, road, tree" --out {to}'))


def _sets(row: SweepRow) -> dict[str, Metrics]:
    """ID validation first, then the test sets."""
    validation = {} if row.id_val is None else {"id_val": row.id_val}
    return {**validation, **row.id, **row.ood}
