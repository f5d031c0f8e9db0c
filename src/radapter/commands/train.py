"""`radapter train`: one method on the user's data, in a run folder, by one process or by many."""

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from radapter.commands.checks import (
    check_model,
    check_processes,
    check_run_folder,
    check_settings,
    report_few_validation_images,
)
from radapter.commands.class_texts import check_suite_texts
from radapter.commands.reporting import merge_steps, print_results, write_report
from radapter.commands.sets import report_sets
from radapter.commands.terminal import bars, next_steps, report_skipped, say
from radapter.config import CommonConfig, load_config, resolved_yaml
from radapter.config.building import recipe_of, suite_of
from radapter.data import Memory
from radapter.data.pictures.bad_images import skipped_images
from radapter.errors import InputError
from radapter.methods import Method, find_method
from radapter.methods.rates import default_rate, in_words, multiplier
from radapter.models import DualEncoder, load
from radapter.processes import TIMEOUT_MINUTES, Processes, is_shared, join, launched, shared
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, run_method
from radapter.runs.fine_tuning import soup_rates
from radapter.runs.results import Results
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.training import Environment, Interrupted


def train(path: Path, overrides: Sequence[str], *, out: Path | None = None, resume: bool = False) -> Results:
    """Trains, chooses alpha on ID validation, reports ID and OOD.

    Started by `torchrun` or `accelerate launch`, every process calls it and takes its share; the main one writes and
    prints.

    Args:
        path: the YAML file.
        overrides: "key=value", dotted.
        out: the run folder, in place of the file's.
        resume: continue from the newest good checkpoint; start a run where there is none.

    Raises:
        InputError: a setting, the model, the data or the run folder; nothing is written.
        Interrupted: a signal came; a checkpoint is saved, and the message has the command that resumes.
    """
    processes = join(timeout_minutes=_timeout(path, overrides))
    with processes.losing_none():
        return _trained(processes, path, overrides, out=out, resume=resume)


def _trained(
    processes: Processes, path: Path, overrides: Sequence[str], *, out: Path | None, resume: bool
) -> Results:
    chosen_out = [] if out is None else [f"out={json.dumps(str(out))}"]

    def checked() -> tuple[CommonConfig, Method, Recipe]:
        config = load_config(path, [*overrides, *chosen_out])
        method = find_method(config.method.name, config.task)
        check_settings(config, method)
        recipe = recipe_of(config)
        check_processes(config, recipe.of(method), processes.size)
        return config, method, recipe

    def opened() -> tuple[DualEncoder, Suite]:
        encoder = load(config.model, allow_download=config.allow_download)
        check_model(encoder, config, recipe, method)
        suite = suite_of(config, encoder)
        report_few_validation_images(suite.id_val, config, [method])
        report_sets(suite, config)
        check_suite_texts(suite, encoder, [method])
        return encoder, suite

    config, method, recipe = processes.everywhere(checked)
    is_new = processes.on_main(lambda: check_run_folder(config, resume=resume))
    if is_new and resume:
        processes.on_main(lambda: say(f"'{config.out}' has no run yet. Starting one."))
    encoder, suite = processes.everywhere(opened)
    settings = resolved_yaml(config)
    if method.build is not None:
        rates = _rates(method, config, encoder.image_width)
        settings = f"# {rates}.\n{settings}"  # beside "lr: null"
        processes.on_main(lambda: say(f"{rates}."))
    with bars(quiet=not processes.is_main) as bar, skipped_images() as skipped:
        bar.starting(method.name)
        try:
            alpha = config.select.alpha if method.alpha == "auto" else method.alpha
            results = run_method(
                RunDirectory(Path(config.out), settings, resume, config.tracking),
                method,
                encoder,
                suite,
                recipe,
                seed=config.seed,
                rule=AlphaRule(alpha, config.evaluation.alphas),
                environment=Environment(processes, Memory(), report=bar.report, evaluated=bar.evaluated),
            )
        except KeyboardInterrupt as interruption:
            again = ["radapter", "train", str(path), *overrides]
            again += [] if out is None else ["--out", str(out)]
            how = (
                shlex.join([*again, "--resume"]) if processes.size == 1 else "the same command with --resume"
            )
            stopped = Interrupted(
                f"{str(interruption) or 'stopped'}. What was saved is in '{config.out}'. Continue: {how}"
            )
            raise (shared(stopped) if is_shared(interruption) else stopped) from None
    processes.on_main(lambda: report_skipped(skipped))
    processes.on_main(lambda: _reported(results, config, method, path))
    return results


def _timeout(path: Path, overrides: Sequence[str]) -> float:
    """How long to wait for other processes; what is wrong with the settings is told once all have met."""
    if launched() > 1:
        with suppress(InputError):
            return load_config(path, overrides).train.timeout_minutes
    return TIMEOUT_MINUTES


def _rates(method: Method, config: CommonConfig, image_width: int) -> str:
    """The learning rates that a training uses, and where they come from."""
    words = in_words(method, image_width, config.train.lr)
    if method.after is not None:
        first = find_method(method.after, config.task)
        rate = multiplier(method, image_width, config.train.lr) * default_rate(first, image_width)
        words += f". First {first.name} at {rate:.4g}"
    if method.averages is not None:
        rates = soup_rates(config.train.lr or default_rate(method, image_width))
        words += f". The soup averages trainings at {', '.join(f'{rate:.4g}' for rate in rates)}"
    return words


def _reported(results: Results, config: CommonConfig, method: Method, path: Path) -> None:
    write_report(results, Path(config.out))
    print_results(results, Path(config.out))
    run = shlex.quote(config.out)
    if method.build is None:
        next_steps(
            ("fine-tune it", f"radapter train {shlex.quote(str(path))} method=r-adapter --out {run}-tuned")
        )
    else:
        next_steps(
            ("every alpha", f"radapter sweep {run}"),
            *merge_steps(results, Path(config.out)),
        )
