"""`radapter compare`: several methods on the user's data, at several seeds, each selected in the same way."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from radapter.commands.checks import FIXABLE, absent_folder, check_processes, value_and_default
from radapter.commands.reporting import merge_steps, print_study
from radapter.commands.task import task_of
from radapter.commands.terminal import bars, continued_with, free, next_steps, say
from radapter.commands.train import checked_suite, config_in
from radapter.comparison.chosen import Chosen, ChosenTraining
from radapter.comparison.compare import Comparison, compare_methods
from radapter.comparison.learning_rates import rate_grids
from radapter.comparison.store import RunStore
from radapter.config import CommonConfig, overridden, resolved_yaml
from radapter.config.bounded_yaml import BoundedLoader
from radapter.config.building import recipe_of
from radapter.data.paths import absolute_if_local
from radapter.errors import ConfigError, DivergedError, RunError
from radapter.evaluation import HEADLINES, fit_baseline, read_standard_models
from radapter.given_files import read_text
from radapter.methods import Method, MethodSettings, find_method, find_methods
from radapter.models import fingerprint, load
from radapter.report.study import write_study
from radapter.runs.fine_tuning import check_epochs
from radapter.runs.inputs import inputs_of
from radapter.storage import check_writable, lock, write_text
from radapter.tasks.leaks import check_disjoint
from radapter.training import Environment, Evaluated, StopSignal, check_precision

COMPARISON, TRAININGS = "comparison.yaml", "trainings"
_HEAD = "# The settings of a radapter compare. The same settings continue it in this folder.\n"
_SHARED = ("margin", "label_smoothing", "ema_decay")
"""Settings of the recipe that a comparison takes from run.yaml for the methods that read them."""


def compare(
    path: Path,
    overrides: Sequence[str],
    *,
    methods: str,
    seeds: int,
    standard_models: Path | None,
    out: Path | None,
) -> None:
    """Searches each method's learning rate on the first seed, trains on all seeds, and writes tables and a plot.

    The `method` section of run.yaml applies to that method and its family, the other sections to all methods.

    Raises:
        InputError: a method, a setting, the model or the data does not fit, or the folder holds another comparison.
        Interrupted: a signal came; finished work is kept, and the same call continues.
        DivergedError: a method diverged at every rate, or at a seed; the tables of the others are written.
    """
    given = config_in(path, overrides, out)
    rows = find_methods([name.strip() for name in methods.split(",") if name.strip()], given.task)
    config = _without_choices(given, path, overrides, rows)
    _check(config, rows, standard_models)
    standard = None
    if standard_models is not None:
        standard = fit_baseline(list(read_standard_models(standard_models).values()))
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
    say(
        f"Methods: {len(rows)}, seeds: {seeds}, {search.points} learning rates each. Learning rate, epoch and alpha "
        "are chosen on ID validation, the same way for every method."
    )
    for name, grid in grids.items():
        say(f"{name}: learning rates {', '.join(f'{rate:g}' for rate in grid)}.")
    stop = StopSignal()
    with continued_with("the same command", folder), lock(folder), bars() as bar, stop.listening():

        def evaluated(step: Evaluated) -> None:
            if stop.asked:  # while sets are evaluated, no training step looks at the signal
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
        found = compare_methods(rows, store, grids=grids, seeds=range(config.seed, config.seed + seeds))
    rows = [method for method in rows if method.name not in found.diverged]
    _write_chosen(folder, found, store, rows, model=absolute_if_local(config.model))
    words = ["radapter", "compare", str(path), *overrides, "--methods", methods, "--seeds", str(seeds)]
    words += [] if standard_models is None else ["--standard-models", str(standard_models)]
    results = found.report(standard)
    write_study(folder, results, title="Comparison", command=shlex.join(words))
    print_study(results, folder)
    single = [method for method in rows if method.build is not None and method.averages is None]
    steps = [("the whole table", f"{folder / 'results.md'}")]
    if single:
        first = found.results[0]
        score = HEADLINES[first.task].score
        scores = {(row.method, row.alpha): score(row.id_val) for row in first.sweep if row.id_val}
        best = max(single, key=lambda method: scores[method.name, first.row(method.name).alpha])
        purpose = "the best on ID validation, as a plain checkpoint"
        steps += merge_steps(
            first.row(best.name), folder, "--method", best.name, task=first.task, purpose=purpose
        )
        alone = _alone(given, best, found.learning_rates[best.runs])
        training = shlex.join(["radapter", "train", str(path), *overrides, *alone, "--out"])
        steps.append(("the same as a run of its own", f"{training} {free(f'runs/{best.name}')}"))
    next_steps(*steps)
    if found.diverged:
        why = " ".join(f"{name} has no row. {reason}" for name, reason in found.diverged.items())
        raise DivergedError(f"{why} The other methods are in '{folder}'.")


def _write_chosen(
    folder: Path, found: Comparison, store: RunStore, methods: Sequence[Method], *, model: str
) -> None:
    of_method: dict[str, dict[str, ChosenTraining]] = {}
    for method in (method for method in methods if method.build is not None):
        search = found.rates[method.runs]
        rates = tuple(search.learning_rates) if method.spans_rates else (search.chosen,)
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
    config: CommonConfig, path: Path, overrides: Sequence[str], methods: Sequence[Method]
) -> CommonConfig:
    """Resets and reports what a comparison chooses for each method; the command line must not set it."""
    on_command_line = overridden(overrides)
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
        if key in (on_command_line.get(section) or {}):
            raise ConfigError(f"{section}.{key} must be left out of a comparison: {why}. Got {given}.")
        if given != default:
            lines.append(f"{path} gives {section}.{key} {given}, which is ignored: {why}.")
        part = getattr(config, section).model_copy(update={key: usual})
        config = config.model_copy(update={section: part})
    for line in lines:
        say(line)
    return config


def _alone(given: CommonConfig, method: Method, rate: float) -> list[str]:
    """The overrides that make one training of a comparison out of its file."""
    settings = given.methods.settings(given.method)
    own = {key: getattr(settings, key) for key in _read_of(settings, method)}
    named = method.name if not own else json.dumps({"name": method.name, **own})
    words = [f"method={named}", "train.keep=best", f"train.lr={rate:g}"]
    unread = [FIXABLE[setting] for setting in _SHARED if not _reads(given, setting, method)]
    for section, key in (("loss", "name"), ("select", "alpha"), *unread):
        value, default = value_and_default(given, section, key)
        if value != default:
            words.append(f"{section}.{key}={'null' if default is None else default}")
    return words


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
    free_to_change = {"schema", "methods", "seeds", "out", "tracking", "compare"}
    content = yaml.load(plan, Loader=BoundedLoader)
    return {key: value for key, value in content.items() if key not in free_to_change}
