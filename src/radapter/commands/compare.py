"""`radapter compare`: several methods on the user's data, at several seeds, selected alike and honestly."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from radapter.commands.checks import (
    FIXABLE,
    absent_folder,
    check_model,
    check_processes,
    report_few_validation_images,
)
from radapter.commands.class_texts import check_suite_texts
from radapter.commands.reporting import merging_of, print_study
from radapter.commands.sets import report_sets
from radapter.commands.task import task_of
from radapter.commands.terminal import bars, next_steps, report_skipped, say
from radapter.comparison.chosen import Chosen, ChosenTraining
from radapter.comparison.compare import Comparison, compare_methods
from radapter.comparison.learning_rates import rate_grids
from radapter.comparison.store import RunStore
from radapter.config import CommonConfig, load_config, overridden, resolved_yaml
from radapter.config.bounded_yaml import BoundedLoader
from radapter.config.building import recipe_of, suite_of
from radapter.data.paths import absolute_if_local
from radapter.data.pictures.bad_images import skipped_images
from radapter.errors import ConfigError, DivergedError, RunError
from radapter.evaluation import HEADLINES, Baseline, fit_baseline, read_standard_models
from radapter.given_files import read_text
from radapter.methods import Method, MethodSettings, find_method, find_methods
from radapter.models import fingerprint, load
from radapter.report.study import write_study
from radapter.runs.fine_tuning import check_epochs
from radapter.runs.inputs import inputs_of
from radapter.runs.results import Results
from radapter.storage import check_writable, lock, write_text
from radapter.tasks.leaks import check_disjoint
from radapter.training import Environment, Evaluated, Interrupted, StopSignal, check_precision

COMPARISON, TRAININGS = "comparison.yaml", "trainings"
_USUAL = {
    "margin": None,
    "label_smoothing": None,
    "ema_decay": "auto",
}  # of what a comparison may leave unread


def compare(
    path: Path,
    overrides: Sequence[str],
    *,
    methods: str,
    seeds: int = 3,
    standard_models: Path | None = None,
    out: Path | None = None,
) -> Comparison:
    """Searches each method's learning rate on the first seed, trains on all seeds, and writes tables and plot.

    Started again, it goes on where it was stopped.

    Args:
        path: the run.yaml; its data, model and loop serve all methods, the settings in `method` serve that method
            and its family, and `compare` has the learning rates to search.
        overrides: "key=value", dotted.
        methods: names, or groups of names, with commas between.
        seeds: how many, from the configuration's seed on.
        standard_models: a CSV of standard models, for effective and relative robustness; see
            `evaluation.robustness`.
        out: the folder, in place of the file's.

    Raises:
        InputError: a method, a setting, the model or the data does not fit, or the folder holds another comparison.
        Interrupted: a signal came; what was done is kept.
        DivergedError: a method diverged at every rate, or at a seed; the tables of the others are written.
    """
    chosen_out = [] if out is None else [f"out={json.dumps(str(out))}"]
    given = load_config(path, [*overrides, *chosen_out])
    rows = find_methods([name.strip() for name in methods.split(",") if name.strip()], given.task)
    config = _set_aside(given, path, overrides, rows)
    if standard_models is not None and config.task != "classification":
        raise ConfigError(
            f"--standard-models is for accuracies of classification. Got it with {config.task}. Leave it out."
        )
    _check(config, rows, seeds=seeds, standard_models=standard_models)
    standard = None if standard_models is None else _line_of(standard_models)
    folder = Path(config.out)
    _check_is_comparison(folder)
    encoder = load(config.model, allow_download=config.allow_download)
    grids = rate_grids(
        rows,
        encoder.image_width,
        task=config.task,
        centres=config.compare.rates,
        points=config.compare.points,
    )
    plan = _plan(config, rows, seeds=seeds)
    _check_same(folder, plan)
    recipe = recipe_of(config)
    for method in rows:
        check_model(encoder, config, recipe.with_own_loss(method), method)
    suite = suite_of(config, encoder)
    report_few_validation_images(suite.id_val, config, rows)
    report_sets(suite, config)
    check_suite_texts(suite, encoder, rows)
    check_disjoint(suite)
    inputs = inputs_of(suite, fingerprint(encoder))
    inputs.check(folder)
    say(
        f"Methods: {len(rows)}, seeds: {seeds}, {config.compare.points} learning rates each. Learning rate, epoch "
        "and alpha are chosen on ID validation, the same way for every method."
    )
    for name, grid in grids.items():
        say(f"{name}: learning rates {', '.join(f'{rate:g}' for rate in grid)}.")
    stop = StopSignal()
    with lock(folder), bars() as bar, skipped_images() as skipped, stop.listening():

        def evaluated(step: Evaluated) -> None:
            if stop.asked:  # a training asks between its steps; there is none while sets are evaluated
                raise KeyboardInterrupt
            bar.evaluated(step)

        write_text(folder / COMPARISON, plan)
        inputs.write(folder)
        store = RunStore(
            folder / TRAININGS,
            lambda: load(config.model, allow_download=config.allow_download),
            lambda _: suite,
            recipe,
            environment=Environment(stop=stop, report=bar.report, evaluated=evaluated),
            starting=bar.starting,
            tested=config.evaluation.alphas,
        )
        first = config.seed
        try:
            found = compare_methods(rows, store, grids=grids, seeds=range(first, first + seeds))
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped. What was done is in '{folder}'. Continue with the same command."
            ) from None
    rows = [method for method in rows if method.name not in found.diverged]
    options = {"methods": methods, "seeds": seeds}
    options["standard-models"] = standard_models
    said = [
        word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))
    ]
    command = shlex.join(["radapter", "compare", str(path), *overrides, *said])
    _write_chosen(folder, found, store, rows, model=absolute_if_local(config.model))
    results = found.report(standard)
    write_study(folder, results, title="Comparison", command=command)
    report_skipped(skipped)
    print_study(results, folder)
    steps = [("the whole table", f"{folder / 'results.md'}")]
    if single := [method for method in rows if method.build is not None and method.averages is None]:
        method = max(single, key=lambda method: _validated(found.results[0], method.name))
        alone = _alone(given, method, found.learning_rates[method.runs])
        words = ["radapter", "train", str(path), *overrides, *alone, "--out", f"runs/{method.name}"]
        if merging := merging_of(found.results[0].row(method.name), folder, "--method", method.name):
            steps.append(("the best on ID validation, as a plain checkpoint", merging))
        steps.append(("the same as a run of its own", shlex.join(words)))
    next_steps(*steps)
    if found.diverged:
        why = " ".join(f"{name} has no row. {reason}" for name, reason in found.diverged.items())
        raise DivergedError(f"{why} The other methods are in '{folder}'.")
    return found


def _write_chosen(
    folder: Path, found: Comparison, store: RunStore, methods: Sequence[Method], *, model: str
) -> None:
    of_method: dict[str, dict[str, ChosenTraining]] = {}
    for method in methods:
        if method.build is None:
            continue
        search = found.rates[method.runs]
        rates = tuple(search.learning_rates) if method.averages else (search.chosen,)
        trained = method if method.averages else find_method(method.runs, found.results[0].task)
        of_method[method.name] = {
            str(results.seed): ChosenTraining(
                training=store.folder(trained, rates, results.seed).relative_to(folder).as_posix(),
                alpha=results.row(method.name).alpha,
            )
            for results in found.results
        }
    Chosen(model=model, methods=of_method).write(folder)


def _validated(results: Results, method: str) -> float:
    """The figure of a method on ID validation, at the alpha that it stands at."""
    alpha = results.row(method).alpha
    point = next(row for row in results.sweep if (row.method, row.alpha) == (method, alpha))
    assert point.id_val is not None
    return HEADLINES[results.task].score(point.id_val)


def _set_aside(
    config: CommonConfig, path: Path, overrides: Sequence[str], methods: Sequence[Method]
) -> CommonConfig:
    """The configuration without what a comparison chooses for each method, and a line on what the file said of it.

    Raises:
        ConfigError: the command line says it.
    """
    said = overridden(overrides)
    chosen: list[tuple[str, str, object, str]] = [
        ("select", "alpha", "auto", "alpha is chosen for every method"),
        ("loss", "name", None, "every method has its own loss"),
        (
            "train",
            "lr",
            None,
            "the learning rate is searched for every method; compare.rates centres the search",
        ),
        ("train", "keep", "best", "the epoch is chosen for every method"),
    ]
    chosen += [
        (*FIXABLE[setting], _USUAL[setting], "no method that is compared reads it")
        for setting in _USUAL
        if not any(_reads(config, setting, method) for method in methods if method.build is not None)
    ]
    lines = []
    for section, key, usual, why in chosen:
        part = getattr(config, section)
        given, name = getattr(part, key), f"{section}.{key}"
        if given == usual:
            continue
        if key in (said.get(section) or {}):
            raise ConfigError(f"{name} must be left out of a comparison: {why}. Got {given}.")
        if given != type(part).model_fields[key].default:
            lines.append(f"{path} gives {name} {given}, which is set aside: {why}.")
        config = config.model_copy(update={section: part.model_copy(update={key: usual})})
    for line in lines:
        say(line)
    return config


def _alone(given: CommonConfig, method: Method, rate: float) -> list[str]:
    """The overrides that make one training of a comparison out of its file."""
    settings = given.methods.settings(given.method)
    own = {key: getattr(settings, key) for key in _read_of(settings, method)}
    named = method.name if not own else json.dumps({"name": method.name, **own})
    words = [f"method={named}", "train.keep=best", f"train.lr={rate:g}"]
    if given.loss.name is not None:
        words.append("loss.name=null")
    if given.select.alpha != "auto":
        words.append("select.alpha=auto")  # as the comparison chose it
    for setting, usual in _USUAL.items():
        section, key = FIXABLE[setting]
        if getattr(getattr(given, section), key) != usual and not _reads(given, setting, method):
            words.append(f"{section}.{key}={'null' if usual is None else usual}")
    return words


def _read_of(settings: MethodSettings, method: Method) -> list[str]:
    """The keys that were set of a method's settings and that another method reads too."""
    same_family = type(settings) is method.settings_type
    return [key for key in method.keys if same_family and key in settings.model_fields_set]


def _reads(config: CommonConfig, setting: str, method: Method) -> bool:
    """Whether a method, with its own loss as in a comparison, takes this setting of the recipe from run.yaml."""
    own = recipe_of(config).with_own_loss(method)
    return getattr(own, setting) is not None and setting not in method.fixed_recipe


def _line_of(standard_models: Path) -> Baseline:
    return fit_baseline(list(read_standard_models(standard_models).values()))


def _check(
    config: CommonConfig,
    methods: Sequence[Method],
    *,
    seeds: int,
    standard_models: Path | None,
) -> None:
    """Checks what can be checked without model and data."""
    trained = [method for method in methods if method.build is not None]
    if not trained:
        got = ", ".join(method.name for method in methods) or "none"
        raise ConfigError(f"--methods must hold one that trains. Got {got}. Add r-adapter, say.")
    if config.data.id_val is None:
        raise ConfigError(
            "data.id_val is required: learning rate, epoch and alpha are chosen on it, and on nothing else. Give it,"
            " such as data.train with 'part: [0.8, 1.0]' beside 'part: [0.0, 0.8]' for training."
        )
    has_transfer = task_of(config.task).has_transfer
    if not (config.data.ood or getattr(config.data, "transfer", {})):
        transfer = ", or data.transfer one with classes of its own" if has_transfer else ""
        raise ConfigError(
            f"data.ood must name at least one shifted test set{transfer}: a comparison is of what is gained in "
            "distribution against what is lost elsewhere. Got none. Without a "
            "shifted set of your own, add a corrupted copy of the test set under data:\n"
            f"  ood: {{corrupted: {{corrupt: {next(iter(config.data.id_test))}}}}}"
        )
    if standard_models is not None and not config.data.ood:
        raise ConfigError("--standard-models needs a shifted test set in data.ood. Got none. Leave it out.")
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1. Got {seeds}.")
    for method in trained:
        check_epochs(method, config.train.epochs)
    settings, names = config.methods.settings(config.method), ", ".join(method.name for method in trained)
    for key in type(settings).model_fields:
        given, default = getattr(settings, key), type(settings).model_fields[key].default
        if given != default and not any(key in _read_of(settings, method) for method in trained):
            raise ConfigError(
                f"method.{key} must be read by a method that is compared. Got {given} for "
                f"'{config.method.name}' with {names}, none of which reads it. Leave it out."
            )
    check_precision(config.train.precision)
    check_processes(config, recipe_of(config), 1)


def _plan(config: CommonConfig, methods: Sequence[Method], *, seeds: int) -> str:
    facts = {"methods": [method.name for method in methods], "seeds": seeds}
    head = "# What radapter compare was asked for; the folder can be continued with the same.\n"
    return head + yaml.safe_dump(facts, sort_keys=False) + resolved_yaml(config)


def _check_is_comparison(folder: Path) -> None:
    check_writable(folder)
    if not absent_folder(folder) and not (folder / COMPARISON).is_file():
        raise RunError(
            f"the folder must be new or hold a comparison. '{folder}' holds something else. Give another --out."
        )


def _check_same(folder: Path, plan: str) -> None:
    file = folder / COMPARISON
    if not file.is_file():
        return
    try:
        then, now = (_deciding(text) for text in (read_text(file), plan))
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise RunError(
            f"'{file}' must be as 'radapter compare' writes it: {error}. Give another --out."
        ) from error
    changed = [
        f"{key}: {now.get(key)}, there {then.get(key)}" for key in now if now.get(key) != then.get(key)
    ]
    if changed:
        raise RunError(
            f"'{folder}' holds another comparison: {'; '.join(changed)}. Give another --out, or the same settings."
        )


def _deciding(plan: str) -> dict[str, object]:
    """What must be the same to go on. Methods, seeds and learning rates may change: each training stands alone."""
    free = {"schema", "methods", "seeds", "out", "tracking", "compare"}
    return {key: value for key, value in yaml.load(plan, Loader=BoundedLoader).items() if key not in free}
