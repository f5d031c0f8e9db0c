"""Comparing methods on the user's data, at several seeds, each selected in the same way."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from radapter.comparison.chosen import COMPARISON, Chosen, ChosenTraining
from radapter.comparison.compare import Compared, compare_methods
from radapter.comparison.learning_rates import rate_grids
from radapter.comparison.store import RunStore
from radapter.config import CommonConfig, resolved_yaml
from radapter.config.bounded_yaml import BoundedLoader
from radapter.config.building import recipe_of
from radapter.data.paths import absolute_if_local
from radapter.errors import ConfigError, RunError
from radapter.evaluation import fit_baseline, read_standard_models
from radapter.given_files import read_text
from radapter.methods import Method, MethodSettings, find_method, find_methods
from radapter.models import fingerprint, load
from radapter.operations.bars import bars, continued_with
from radapter.operations.checks import FIXABLE, absent_folder, check_processes, value_and_default
from radapter.operations.page import write_page_beside
from radapter.operations.task import task_of
from radapter.operations.training import checked_suite
from radapter.report.study import write_study
from radapter.runs.fine_tuning import check_epochs
from radapter.runs.inputs import inputs_of
from radapter.runs.results import Results
from radapter.runs.versions import write_versions
from radapter.storage import check_writable, lock, write_text
from radapter.tasks.leaks import check_disjoint
from radapter.training import Environment, Evaluated, StopSignal, check_precision

TRAININGS = "trainings"
_SHARED = ("margin", "label_smoothing", "ema_decay", "anchor", "train_scale")
"""Settings of the recipe that a comparison takes from run.yaml for the methods that read them."""
_HEAD = "# The settings of a radapter compare. The same settings continue it in this folder.\n"

_log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """What is compared: methods or groups of them, the number of seeds, and a CSV of standard models."""

    methods: Sequence[str]
    seeds: int
    standard_models: Path | None = None


class Study(NamedTuple):
    """A finished comparison.

    Attributes:
        given: the configuration as it was given.
        methods: those that have a row.
        found: the results of every seed.
        results: those over all seeds, as in results.json.
    """

    folder: Path
    given: CommonConfig
    methods: list[Method]
    found: Compared
    results: Results


def compare(
    given: CommonConfig, choice: Choice, *, fixed: Mapping[str, Any], origin: str, command: str, again: str
) -> Study:
    """Search each method's learning rate on the first seed, train on all seeds, and write tables and a plot.

    The `method` section of run.yaml applies to that method and its family, the other sections to all methods.

    Args:
        given: the configuration.
        choice: what is compared.
        fixed: section -> keys that the caller sets on purpose, which must not be those that a comparison chooses.
        origin: where the configuration comes from, for messages.
        command: what results.md gives as the command that wrote it.
        again: how an interrupted comparison is continued, for the message.

    Raises:
        InputError: a method, a setting, the model or the data does not fit, or the folder holds another comparison.
        Interrupted: a signal came; finished work is kept, and the same call continues.
        DivergedError: every method diverged.
    """
    rows = find_methods(choice.methods, given.task)
    config = _without_choices(given, origin, fixed, rows)
    _check(config, rows, choice.standard_models)
    seeds, standard = choice.seeds, None
    if choice.standard_models is not None:
        standard = fit_baseline(list(read_standard_models(choice.standard_models).values()))
    folder = Path(config.out)
    facts = {"methods": [method.name for method in rows], "seeds": seeds}
    plan = f"{_HEAD}{yaml.safe_dump(facts, sort_keys=False)}{resolved_yaml(config)}"
    _check_folder(folder, plan)
    encoder = load(config.model, allow_download=config.allow_download)
    search = config.compare
    grids = rate_grids(
        rows, encoder.image_width, task=config.task, centres=search.rates, points=search.points
    )
    recipe = recipe_of(config)
    suite = checked_suite(config, encoder, [(method, recipe.with_own_loss(method)) for method in rows])
    check_disjoint(suite)
    inputs = inputs_of(suite, fingerprint(encoder))
    inputs.check(folder)
    _log.info(
        "Methods: %d, seeds: %d, learning rates per method: %d. Learning rate, epoch and alpha are chosen on ID "
        "validation, the same way for every method.",
        len(rows),
        seeds,
        search.points,
    )
    for name, grid in grids.items():
        _log.info("%s: learning rates %s.", name, ", ".join(f"{rate:g}" for rate in grid))
    stop = StopSignal()
    with continued_with(again, folder), lock(folder), bars() as bar, stop.listening():

        def evaluated(step: Evaluated) -> None:
            if stop.asked:  # while sets are evaluated, no training step looks at the signal
                raise KeyboardInterrupt
            bar.evaluated(step)

        write_text(folder / COMPARISON, plan)
        inputs.write(folder)
        write_versions(folder)
        store = RunStore(
            folder / TRAININGS,
            lambda: load(config.model, allow_download=config.allow_download),
            lambda _: suite,
            recipe,
            environment=Environment(stop=stop, report=bar.report, evaluated=evaluated),
            starting=bar.starting,
            tested=config.evaluation.alphas,
        )
        found = compare_methods(rows, store, grids=grids, seeds=range(config.seed, config.seed + seeds))
    rows = [method for method in rows if method.name not in found.diverged]
    _write_chosen(folder, found, store, rows, model=absolute_if_local(config.model))
    results = found.report(standard)
    write_study(folder, results, title="Comparison", command=command)
    write_page_beside(folder, suite)
    return Study(folder, given, rows, found, results)


def alone(given: CommonConfig, method: Method, rate: float | None) -> list[str]:
    """The overrides that make one training of a comparison out of its file; `rate` is None for a method without a
    training loop."""
    settings = given.methods.settings(given.method)
    own = {key: getattr(settings, key) for key in _read_of(settings, method)}
    named = method.name if not own else json.dumps({"name": method.name, **own})
    words = [f"method={named}", "train.keep=best", *([] if rate is None else [f"train.lr={rate:g}"])]
    unread = [FIXABLE[setting] for setting in _SHARED if not _reads(given, setting, method)]
    for section, key in (("loss", "name"), ("select", "alpha"), *unread):
        value, default = value_and_default(given, section, key)
        if value != default:
            words.append(f"{section}.{key}={'null' if default is None else default}")
    return words


def _write_chosen(
    folder: Path, found: Compared, store: RunStore, methods: Sequence[Method], *, model: str
) -> None:
    of_method: dict[str, dict[str, ChosenTraining]] = {}
    for method in (method for method in methods if method.build is not None):
        search = found.rates.get(method.runs)  # none for a method without a training loop
        rates: tuple[float, ...] = () if search is None else (search.chosen,)
        if search is not None and method.spans_rates:
            rates = tuple(search.learning_rates)
        trained = method if method.averages else find_method(method.runs, found.results[0].task)
        of_method[method.name] = {
            str(results.seed): ChosenTraining(
                training=store.folder(trained, rates, results.seed).relative_to(folder).as_posix(),
                alpha=results.row(method.name).alpha,
            )
            for results in found.results
        }
    Chosen(model=model, methods=of_method).write(folder)


def _without_choices(
    config: CommonConfig, origin: str, fixed: Mapping[str, Any], methods: Sequence[Method]
) -> CommonConfig:
    """Resets and logs what a comparison chooses for each method; `fixed` must not set it."""
    rate = "the learning rate is searched for every method; compare.rates centres the search"
    trained = [method for method in methods if method.build is not None]
    unread = [s for s in _SHARED if not any(_reads(config, s, method) for method in trained)]
    chosen = [
        ("select", "alpha", "alpha is chosen for every method"),
        ("loss", "name", "every method has its own loss"),
        ("train", "lr", rate),
        ("train", "keep", "the epoch is chosen for every method"),
        *((*FIXABLE[setting], "no method that is compared reads it") for setting in unread),
    ]
    lines = []
    for section, key, why in chosen:
        given, default = value_and_default(config, section, key)
        usual = "best" if key == "keep" else default
        if given == usual:
            continue
        if key in (fixed.get(section) or {}):
            raise ConfigError(f"{section}.{key} must be left out of a comparison: {why}. Got {given}.")
        if given != default:
            lines.append(f"{origin} gives {section}.{key} {given}, which is ignored: {why}.")
        part = getattr(config, section).model_copy(update={key: usual})
        config = config.model_copy(update={section: part})
    for line in lines:
        _log.info("%s", line)
    return config


def _read_of(settings: MethodSettings, method: Method) -> list[str]:
    """The given keys of one method's settings that another method reads too."""
    same_family = type(settings) is method.settings_type
    known = (*method.keys, *(settings.model_extra or ()))
    return [key for key in known if same_family and key in settings.model_fields_set]


def _reads(config: CommonConfig, setting: str, method: Method) -> bool:
    """Whether a method, with its own loss as in a comparison, takes this setting of the recipe from run.yaml."""
    own = recipe_of(config).with_own_loss(method)
    return getattr(own, setting) is not None and setting not in method.fixed_recipe


def _check(config: CommonConfig, methods: Sequence[Method], standard_models: Path | None) -> None:
    """Checks what can be checked without model and data."""
    if standard_models is not None and config.task != "classification":
        raise ConfigError(
            f"--standard-models is for accuracies of classification. Got it with {config.task}. Leave it out."
        )
    trained = [method for method in methods if method.build is not None]
    if not trained:
        got = ", ".join(method.name for method in methods) or "none"
        raise ConfigError(f"--methods must hold one that trains. Got {got}. Add r-adapter, for example.")
    if config.data.id_val is None:
        raise ConfigError(
            "data.id_val is required: learning rate, epoch and alpha are chosen on it alone. Give it, such as "
            "data.train with 'part: [0.8, 1.0]' beside 'part: [0.0, 0.8]' for training."
        )
    if not (config.data.ood or getattr(config.data, "transfer", {})):
        other = ", or data.transfer one with classes of its own" if task_of(config.task).has_transfer else ""
        raise ConfigError(
            f"data.ood must name at least one shifted test set{other}: a comparison weighs gains in distribution "
            "against losses elsewhere. Got none. Without a shifted set of your own, add a corrupted copy of the "
            "test set under data:\n"
            f"  ood: {{corrupted: {{corrupt: {next(iter(config.data.id_test))}}}}}"
        )
    if standard_models is not None and not config.data.ood:
        raise ConfigError("--standard-models needs a shifted test set in data.ood. Got none. Leave it out.")
    for method in trained:
        check_epochs(method, config.train.epochs)
    settings, names = config.methods.settings(config.method), ", ".join(method.name for method in trained)
    for key, field in type(settings).model_fields.items():
        given = getattr(settings, key)
        if given != field.default and not any(key in _read_of(settings, method) for method in trained):
            raise ConfigError(
                f"method.{key} must be read by a method that is compared. Got {given} for "
                f"'{config.method.name}' with {names}, none of which reads it. Leave it out."
            )
    check_precision(config.train.precision)
    check_processes(config, recipe_of(config), 1)


def _check_folder(folder: Path, plan: str) -> None:
    """Checks that a folder is new, or holds a comparison that this plan can continue."""
    check_writable(folder)
    if absent_folder(folder):
        return
    file = folder / COMPARISON
    if not file.is_file():
        raise RunError(
            f"the folder must be new or hold a comparison. '{folder}' holds something else. Give another --out."
        )
    try:
        before, now = (_deciding(text) for text in (read_text(file), plan))
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise RunError(
            f"'{file}' must be as 'radapter compare' writes it: {error}. Give another --out."
        ) from error
    changed = [f"{key}: {now[key]}, there {before.get(key)}" for key in now if now[key] != before.get(key)]
    if changed:
        raise RunError(
            f"'{folder}' holds another comparison: {'; '.join(changed)}. Give another --out, or the same settings."
        )


def _deciding(plan: str) -> dict[str, object]:
    """The settings that cannot change. Methods, seeds and learning rates may: no training depends on another."""
    free_to_change = {"schema", "methods", "seeds", "out", "compare"}
    free_to_change |= {"tracking", "tracking_project", "tracking_name"}
    content = yaml.load(plan, Loader=BoundedLoader)
    return {key: value for key, value in content.items() if key not in free_to_change}
