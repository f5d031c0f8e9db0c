"""`radapter compare`: several methods on the user's data, at several seeds, selected alike and honestly."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from radapter.commands.building import absent_folder, recipe_of, report_long_captions, suite_of
from radapter.commands.checks import as_yaml, check_model, check_processes, unread_settings
from radapter.commands.reporting import print_study
from radapter.commands.terminal import bars, next_steps, say
from radapter.config import CommonConfig, load_config, overridden, resolved_yaml
from radapter.config.schema import AdapterConfig
from radapter.errors import ConfigError, RunError
from radapter.evaluation import Baseline, fit_baseline, read_standard_models
from radapter.methods import Method, find_method, find_methods
from radapter.models import fingerprint, load
from radapter.protocol import Study, Trainings, check_disjoint, check_epochs, study
from radapter.report.study import write_study
from radapter.storage import check_writable, lock, write_text
from radapter.training import Interrupted, StopSignal, check_precision

GRID = (3e-4, 1e-3, 1e-2)
COMPARISON, TRAININGS = "comparison.yaml", "trainings"


def compare(
    path: Path,
    overrides: Sequence[str],
    *,
    methods: str,
    seeds: int = 3,
    grid: str | None = None,
    against: str | None = None,
    standard_models: Path | None = None,
    out: Path | None = None,
) -> Study:
    """Trains every method at every learning rate on the first seed, and the best on all; writes tables and plot.

    Started again, it goes on where it was stopped.

    Args:
        path: the run.yaml; its data, model, adapter and loop serve all methods.
        overrides: "key=value", dotted.
        methods: names, or groups of names, with commas between.
        seeds: how many, from the configuration's seed on.
        grid: learning rates with commas between; None for `GRID`.
        against: the method whose frontier the others are compared with; None for wise-ft where it is there.
        standard_models: a CSV of standard models, for effective and relative robustness; see
            `evaluation.robustness`.
        out: the folder, in place of the file's.

    Raises:
        InputError: a method, a setting, the model or the data does not fit, or the folder holds another comparison.
        Interrupted: a signal came; what was done is kept.
    """
    chosen_out = [] if out is None else [f"out={json.dumps(str(out))}"]
    given = load_config(path, [*overrides, *chosen_out])
    config = _set_aside(given, path, overrides)
    rows = find_methods([name.strip() for name in methods.split(",") if name.strip()], config.task)
    rates = _rates(grid)
    if standard_models is not None and config.task != "classification":
        raise ConfigError(
            f"--standard-models is for accuracies of classification. Got it with {config.task}. Leave it out."
        )
    standard = None if standard_models is None else _line_of(standard_models)
    _check(config, rows, seeds=seeds, against=against)
    folder = Path(config.out)
    _check_is_comparison(folder)
    encoder = load(config.model, allow_download=config.allow_download)
    plan = _plan(config, rows, seeds=seeds, rates=rates, base=fingerprint(encoder))
    _check_same(folder, plan)
    recipe = recipe_of(config)
    for method in rows:
        check_model(encoder, config, recipe.with_own_loss(method), method)
    suite = suite_of(config, encoder)
    report_long_captions(suite, encoder)
    check_disjoint(suite)
    say(
        f"{len(rows)} methods, {seeds} seeds, learning rates {', '.join(f'{rate:g}' for rate in rates)}: learning "
        "rate, epoch and alpha are chosen on ID validation, the same way for every method."
    )
    stop = StopSignal()
    with lock(folder), bars() as bar, stop.listening():

        def evaluated(name: str, images: int) -> None:
            if stop.asked:  # a training asks between its steps; there is none while sets are evaluated
                raise KeyboardInterrupt
            bar.evaluated(name, images)

        write_text(folder / COMPARISON, plan)
        trainings = Trainings(
            folder / TRAININGS,
            lambda: load(config.model, allow_download=config.allow_download),
            lambda _: suite,
            recipe,
            stop=stop,
            starting=bar.starting,
            report=bar.report,
            progress=evaluated,
        )
        first = config.seed
        try:
            found = study(rows, trainings, grid=rates, search_seed=first, seeds=range(first, first + seeds))
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped. What was done is in '{folder}'. Continue with the same command."
            ) from None
    options = {"methods": methods, "seeds": seeds, "grid": grid, "against": against}
    options["standard-models"] = standard_models
    said = [
        word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))
    ]
    command = shlex.join(["radapter", "compare", str(path), *overrides, *said])
    write_study(folder, found, title="Comparison", command=command, against=against, standard=standard)
    print_study(found, folder, against=against, standard=standard)
    best = max(
        (row for row in found.results[0].rows if row.method != "zero-shot"), key=lambda row: row.id_mean
    )
    method = find_method(best.method, config.task)
    rate = found.learning_rates[method.runs]
    next_steps(
        ("the whole table", f"{folder / 'results.md'}"),
        (
            "one method as a run of its own",
            shlex.join(["radapter", "train", str(path), *overrides, *_alone(given, method, rate)])
            + f" --out runs/{best.method}",
        ),
    )
    return found


def _set_aside(config: CommonConfig, path: Path, overrides: Sequence[str]) -> CommonConfig:
    """The configuration without what a comparison chooses for each method, and a line on what the file said of it.

    Raises:
        ConfigError: the command line says it.
    """
    said = overridden(overrides)
    lines = []
    for section, key, usual, why in (
        ("adapter", "alpha", "auto", "alpha is chosen for every method"),
        ("loss", "name", None, "every method has its own loss"),
        ("train", "lr", None, "the learning rate is searched for every method; --grid says where"),
    ):
        part = getattr(config, section)
        given, name = getattr(part, key), f"{section}.{key}"
        if given == usual:
            continue
        if key in (said.get(section) or {}):
            raise ConfigError(f"{name} must be left out of a comparison: {why}. Got {given}.")
        lines.append(f"{path} gives {name} {given}, which is set aside: {why}.")
        config = config.model_copy(update={section: part.model_copy(update={key: usual})})
    for line in lines:
        say(line)
    return config


def _alone(given: CommonConfig, method: Method, rate: float) -> list[str]:
    """The overrides that make one training of a comparison out of its file."""
    words = [f"method={method.name}", "train.keep=best", f"train.lr={rate:g}"]
    own = recipe_of(given).with_own_loss(method)
    words += [
        f"loss.{key}=null"
        for key in ("name", "margin", "label_smoothing")
        if getattr(given.loss, key) is not None
        and (key == "name" or getattr(own, key) is None or key in method.settings)
    ]
    usual = unread_settings(given.adapter, method)
    if given.adapter.alpha != "auto":
        usual["alpha"] = "auto"  # as the comparison chose it
    return words + [f"adapter.{key}={as_yaml(value)}" for key, value in usual.items()]


def _rates(grid: str | None) -> tuple[float, ...]:
    if grid is None:
        return GRID
    try:
        rates = tuple(float(part) for part in grid.split(","))
    except ValueError:
        raise ConfigError(
            f"--grid must be numbers with commas between, such as 3e-4,1e-3,1e-2. Got '{grid}'."
        ) from None
    if not all(0 < rate < float("inf") for rate in rates) or len(set(rates)) < len(rates):
        raise ConfigError(f"--grid must hold distinct learning rates above 0. Got '{grid}'.")
    return rates


def _line_of(standard_models: Path) -> Baseline:
    return fit_baseline(list(read_standard_models(standard_models).values()))


def _check(config: CommonConfig, methods: Sequence[Method], *, seeds: int, against: str | None) -> None:
    """Checks what can be checked without model and data."""
    trained = [method for method in methods if method.build is not None]
    if not trained:
        raise ConfigError("--methods must hold one that trains. Got zero-shot alone. Add r-adapter, say.")
    if config.data.id_val is None:
        raise ConfigError(
            "data.id_val is required: learning rate, epoch and alpha are chosen on it, and on nothing else. Give it,"
            " such as data.train with 'part: [0.8, 1.0]' beside 'part: [0.0, 0.8]' for training."
        )
    if not config.data.ood:
        raise ConfigError(
            "data.ood must name at least one shifted test set: a comparison is of ID against OOD. Got none."
        )
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1. Got {seeds}.")
    if against is not None and against not in {method.name for method in trained}:
        raise ConfigError(
            f"--against must be one of the methods that train: {', '.join(m.name for m in trained)}. "
            f"Got '{against}'."
        )
    for method in trained:
        check_epochs(method, config.train.epochs)
    defaults = AdapterConfig()
    for key in AdapterConfig.model_fields:
        value = getattr(config.adapter, key)
        if value != getattr(defaults, key) and not any(key in method.reads for method in trained):
            raise ConfigError(
                f"adapter.{key} must be read by a method that is compared. Got {value} with "
                f"{', '.join(method.name for method in trained)}, none of which reads it. Leave it out."
            )
    check_precision(config.train.precision)
    check_processes(config, recipe_of(config), 1)


def _plan(
    config: CommonConfig, methods: Sequence[Method], *, seeds: int, rates: Sequence[float], base: str
) -> str:
    facts = {
        "methods": [method.name for method in methods],
        "seeds": seeds,
        "grid": list(rates),
        "fingerprint": base,
    }
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
    then, now = (_deciding(text) for text in (file.read_text(encoding="utf-8"), plan))
    changed = [
        f"{key}: {now.get(key)}, there {then.get(key)}" for key in now if now.get(key) != then.get(key)
    ]
    if changed:
        raise RunError(
            f"'{folder}' holds another comparison: {'; '.join(changed)}. Give another --out, or the same settings."
        )


def _deciding(plan: str) -> dict[str, object]:
    """What must be the same to go on. Methods and seeds may be added: every training stands for itself."""
    free = {"methods", "seeds", "out", "tracking"}
    return {key: value for key, value in yaml.safe_load(plan).items() if key not in free}
