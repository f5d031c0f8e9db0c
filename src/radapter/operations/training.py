"""Training one method by a configuration, in a run directory, in one process or in several."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from radapter.config import CommonConfig, resolved_yaml
from radapter.config.building import recipe_of, suite_of
from radapter.data import Memory
from radapter.errors import InputError
from radapter.hub import write_adapter_card
from radapter.methods import Method, find_method
from radapter.methods.rates import default_rate, in_words, multiplier
from radapter.models import DualEncoder, load
from radapter.operations import checks
from radapter.operations.bars import bars, continued_with
from radapter.operations.class_texts import check_suite_texts
from radapter.operations.page import write_page_beside
from radapter.operations.sets import report_sets
from radapter.processes import ALONE, TIMEOUT_MINUTES, Processes, join, launched
from radapter.report.files import drawn, write_report
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, run_method
from radapter.runs.fine_tuning import soup_rates
from radapter.runs.results import Results
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.training import Environment

_log = logging.getLogger(__name__)


class Trained(NamedTuple):
    """A finished training; `is_main` says whether this process is the one that wrote it."""

    folder: Path
    method: Method
    results: Results
    is_main: bool
    allow_download: bool


def train(read: Callable[[], CommonConfig], *, resume: bool, again: str) -> Trained:
    """Train one method, choose alpha on ID validation, and write the run with its tables.

    With several processes, each calls this and does its share; the main one writes.

    Args:
        read: returns the configuration, or raises InputError.
        resume: whether to continue from the newest checkpoint, if there is one.
        again: how an interrupted training is continued, for the message.

    Raises:
        InputError: a setting, the model, the data or the run folder; nothing is written.
        Interrupted: a signal came; a checkpoint is saved.
    """
    processes = join(timeout_minutes=_timeout(read))
    with processes.losing_none():
        return _train(processes, read, resume=resume, again=again)


def _train(processes: Processes, read: Callable[[], CommonConfig], *, resume: bool, again: str) -> Trained:
    def checked() -> tuple[CommonConfig, Method, Recipe]:
        config = read()
        method = find_method(config.method.name, config.task)
        checks.check_settings(config, method)
        recipe = recipe_of(config)
        checks.check_processes(config, recipe.of(method), processes.size)
        return config, method, recipe

    def opened() -> tuple[DualEncoder, Suite]:
        encoder = load(config.model, allow_download=config.allow_download)
        return encoder, checked_suite(config, encoder, [(method, recipe)], processes)

    config, method, recipe = processes.everywhere(checked)
    out = Path(config.out)
    is_new = processes.on_main(lambda: checks.check_run_folder(config, resume=resume))
    if is_new and resume:
        processes.on_main(lambda: _log.info("'%s' has no run yet. Starting one.", out))
    encoder, suite = processes.everywhere(opened)
    settings = resolved_yaml(config)
    if method.is_optimized:
        rates = _rates(method, config, encoder.image_width)
        settings = f"# {rates}.\n{settings}"  # beside "lr: null"
        processes.on_main(lambda: _log.info("%s.", rates))
    with continued_with(again, out), bars(quiet=not processes.is_main) as bar:
        bar.starting(f"training {method.name}")
        alpha = config.select.alpha if method.alpha == "auto" else method.alpha
        results = run_method(
            RunDirectory(
                out,
                settings,
                resume,
                config.tracking,
                config.tracking_project,
                config.tracking_name,
                drawn,
            ),
            method,
            encoder,
            suite,
            recipe,
            seed=config.seed,
            rule=AlphaRule(alpha, config.evaluation.alphas),
            environment=Environment(processes, Memory(), report=bar.report, evaluated=bar.evaluated),
        )
    processes.on_main(lambda: _write_pages(results, out, suite, method))
    return Trained(out, method, results, processes.is_main, config.allow_download)


def _write_pages(results: Results, out: Path, suite: Suite, method: Method) -> None:
    write_report(results, out)
    write_page_beside(out, suite)
    if method.build is not None:
        write_adapter_card(out)


def checked_suite(
    config: CommonConfig,
    encoder: DualEncoder,
    recipes: Sequence[tuple[Method, Recipe]],
    processes: Processes = ALONE,
) -> Suite:
    """Open every data set of a configuration, and log what it holds.

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


def _timeout(read: Callable[[], CommonConfig]) -> float:
    """How long to wait for other processes; errors in the settings are reported after all have met."""
    if launched() > 1:
        with suppress(InputError):
            return read().train.timeout_minutes
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
