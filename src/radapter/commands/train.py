"""`radapter train`: one method on the user's data, in a run folder, in one process or in several."""

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from radapter.commands import checks
from radapter.commands.class_texts import check_suite_texts
from radapter.commands.reporting import merge_steps, print_results, write_report
from radapter.commands.sets import report_sets
from radapter.commands.terminal import bars, continued_with, free, next_steps, say
from radapter.config import CommonConfig, load_config, resolved_yaml
from radapter.config.building import recipe_of, suite_of
from radapter.data import Memory
from radapter.errors import InputError
from radapter.methods import Method, find_method
from radapter.methods.rates import default_rate, in_words, multiplier
from radapter.models import DualEncoder, load
from radapter.processes import ALONE, TIMEOUT_MINUTES, Processes, join, launched
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, run_method
from radapter.runs.fine_tuning import soup_rates
from radapter.runs.results import Results
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.training import Environment


def train(path: Path, overrides: Sequence[str], *, out: Path | None, resume: bool) -> None:
    """Trains one method, chooses alpha on ID validation, and reports ID and OOD.

    With several processes, each calls this and does its share; the main one writes and prints.

    Raises:
        InputError: a setting, the model, the data or the run folder; nothing is written.
        Interrupted: a signal came; a checkpoint is saved, and the message has the command that resumes.
    """
    processes = join(timeout_minutes=_timeout(path, overrides))
    with processes.losing_none():
        _train(processes, path, overrides, out=out, resume=resume)


def _train(
    processes: Processes, path: Path, overrides: Sequence[str], *, out: Path | None, resume: bool
) -> None:
    def checked() -> tuple[CommonConfig, Method, Recipe]:
        config = config_in(path, overrides, out)
        method = find_method(config.method.name, config.task)
        checks.check_settings(config, method)
        recipe = recipe_of(config)
        checks.check_processes(config, recipe.of(method), processes.size)
        return config, method, recipe

    def opened() -> tuple[DualEncoder, Suite]:
        encoder = load(config.model, allow_download=config.allow_download)
        return encoder, checked_suite(config, encoder, [(method, recipe)], processes)

    config, method, recipe = processes.everywhere(checked)
    is_new = processes.on_main(lambda: checks.check_run_folder(config, resume=resume))
    if is_new and resume:
        processes.on_main(lambda: say(f"'{config.out}' has no run yet. Starting one."))
    encoder, suite = processes.everywhere(opened)
    settings = resolved_yaml(config)
    if method.build is not None:
        rates = _rates(method, config, encoder.image_width)
        settings = f"# {rates}.\n{settings}"  # beside "lr: null"
        processes.on_main(lambda: say(f"{rates}."))
    again = ["radapter", "train", str(path), *overrides, *([] if out is None else ["--out", str(out)])]
    how = shlex.join([*again, "--resume"]) if processes.size == 1 else "the same command and --resume"
    with continued_with(how, config.out), bars(quiet=not processes.is_main) as bar:
        bar.starting(method.name)
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
    processes.on_main(lambda: _report(results, Path(config.out), method, path))


def config_in(path: Path, overrides: Sequence[str], out: Path | None) -> CommonConfig:
    """The configuration of a file and overrides; `out` is the folder to write to, None for the file's."""
    return load_config(path, overrides if out is None else [*overrides, f"out={json.dumps(str(out))}"])


def checked_suite(
    config: CommonConfig,
    encoder: DualEncoder,
    recipes: Sequence[tuple[Method, Recipe]],
    processes: Processes = ALONE,
) -> Suite:
    """Opens every data set of a configuration, and reports what it holds.

    Raises:
        InputError: the model, a setting, a data set or class names do not fit one of the methods with its recipe.
    """
    for method, recipe in recipes:
        checks.check_model(encoder, config, recipe, method)
    methods = [method for method, _ in recipes]
    suite = suite_of(config, encoder, processes)
    checks.report_few_validation_images(suite.id_val, config, methods)
    report_sets(suite, config)
    check_suite_texts(suite, encoder, methods)
    return suite


def _timeout(path: Path, overrides: Sequence[str]) -> float:
    """How long to wait for other processes; errors in the settings are reported after all have met."""
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
    if method.spans_rates:
        rates = soup_rates(config.train.lr or default_rate(method, image_width))
        words += f". The soup averages trainings at {', '.join(f'{rate:.4g}' for rate in rates)}"
    return words


def _report(results: Results, out: Path, method: Method, path: Path) -> None:
    write_report(results, out)
    print_results(results, out)
    if method.build is None:
        tune = f"radapter train {shlex.quote(str(path))} method=r-adapter --out {free(f'{out}-tuned')}"
        next_steps(("fine-tune it", tune))
    else:
        next_steps(
            ("every alpha", f"radapter sweep {shlex.quote(str(out))}"),
            *merge_steps(results.rows[-1], out, task=results.task),
        )
