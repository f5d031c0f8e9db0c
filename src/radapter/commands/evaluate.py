"""`radapter evaluate`: a run or a model on test sets of any task."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from radapter.adapter.config import check_alpha
from radapter.commands.compare import COMPARISON
from radapter.commands.encoders import config_of_run
from radapter.commands.reporting import print_sets
from radapter.commands.runs import finished, merged_steps
from radapter.commands.sets import kind_keys
from radapter.commands.task import Asked, Opened, Spec, task_of
from radapter.commands.terminal import bars, free, next_steps, say
from radapter.config import CommonConfig
from radapter.config.bounded_yaml import BoundedLoader
from radapter.config.building import suite_of
from radapter.data import MAX_BAD
from radapter.data.labelled.labels import read_classnames
from radapter.data.source import Reading, is_source
from radapter.errors import ConfigError, InputError, did_you_mean
from radapter.methods import find_method
from radapter.models import DualEncoder, load
from radapter.processes import Processes, join
from radapter.runs.directory import CONFIG, evaluate_model, evaluate_run
from radapter.runs.evaluator import Evaluator
from radapter.runs.merging import merged_facts
from radapter.runs.results import Results
from radapter.runs.weights import read_about
from radapter.task_list import DEFAULT_TASK, TASKS
from radapter.tasks.recipe import Recipe
from radapter.training import Environment
from radapter.zeroshot import templates as prompts_of


class Texts(NamedTuple):
    """The class names and templates of `--data`, as text of YAML; None for those of the run or the data."""

    classnames: str | None = None
    templates: str | None = None


_NO_TEXTS = Texts()


def evaluate(
    what: str,
    data: Sequence[str] = (),
    *,
    task: str | None = None,
    alpha: float | None = None,
    texts: Texts = _NO_TEXTS,
    metric: str | None = None,
    max_bad: float | None = None,
    allow_download: bool = False,
) -> Results:
    """Print the metrics of a run beside zero-shot, or of a model, on test sets.

    A run's data.max_bad, data.max_pixels and data.join_captions apply. A merged folder is evaluated with its own
    classifier if the data have its classes. With several processes, each evaluates its share, and the main one
    prints.

    Raises:
        InputError: the run, the model, its classifier, a source, the metric, or alpha.
    """
    processes = join()
    run = Path(what)
    is_run = (run / CONFIG).is_file()

    def opened() -> tuple[DualEncoder, Opened, float, Mapping[str, Any]]:
        if alpha is not None:
            check_alpha(alpha)
        if not is_run and alpha is not None:
            raise ConfigError(f"--alpha is for a run. '{what}' is a model. Leave it out.")
        about = read_about(run) if is_run else merged_facts(run)
        measured: str = task or about.get("task", DEFAULT_TASK)
        entry = task_of(measured)
        if metric is not None and metric not in entry.metrics:
            raise ConfigError(
                f"--metric must be one of {', '.join(entry.metrics)} for {measured}. Got '{metric}'."
                f"{did_you_mean(metric, entry.metrics)}"
            )
        classnames, templates = texts
        for option, value in (("--classnames", classnames), ("--templates", templates)):
            if value is not None and option not in entry.options:
                readers = " and ".join(name for name in TASKS if option in task_of(name).options)
                raise ConfigError(f"{option} is for {readers}. Got it with {measured}. Leave it out.")
        limit = [] if max_bad is None else [f"data.max_bad={max_bad}"]
        config = config_of_run(run, limit, allow_download=allow_download) if is_run else None
        if (run / COMPARISON).is_file():
            raise ConfigError(
                f"evaluate needs a run or a model. '{what}' is a comparison. Write one of its models with 'radapter "
                f"merge {what} --method METHOD --out merged', and evaluate that."
            )
        if not data and config is None:
            raise ConfigError(f"--data is needed for a model. '{what}' is one. Give --data NAME=SOURCE.")
        if not data and (classnames is not None or measured != about["task"]):
            raise ConfigError("--classnames and --task need --data. The test sets of the run have their own.")
        sources = named_sources(data, measured)
        limits = Reading(max_bad=MAX_BAD if max_bad is None else max_bad)
        reading = replace(limits if config is None else config.reading, allow_download=allow_download)
        encoder = load(what if config is None else config.model, allow_download=allow_download)
        given = None if templates is None else prompts_of(parsed(templates))
        if config is not None and not sources:
            sets = Opened(_own_sets(config, encoder, given, processes))
        else:
            names = None if classnames is None else read_classnames(parsed(classnames))
            sets = entry.tested(Asked(what, config, about, encoder, sources, reading, names, given))
        return encoder, sets, reading.max_bad, about

    encoder, (suite, head, note), accepted, about = processes.everywhere(opened)
    is_merged = head is not None or (not is_run and "method" in about)
    with bars(quiet=not processes.is_main) as bar:
        environment = Environment(processes, evaluated=bar.evaluated)
        evaluator = Evaluator(suite, encoder, Recipe(max_bad=accepted), environment)
        if is_run:
            results = evaluate_run(run, encoder, evaluator, alpha=alpha)
        elif is_merged and (head is not None or not task_of(suite.task).has_head):
            method = f"{about.get('method', 'classifier')} (merged)"
            results = evaluate_model(
                encoder, evaluator, method=method, alpha=about.get("alpha", 1.0), head=head
            )
        else:
            results = evaluate_model(encoder, evaluator)
    if not processes.is_main:
        return results
    if note is not None:
        say(note)
    print_sets(results, metric=metric, roles=not data)
    if is_run:
        at = "" if alpha is None else f" --alpha {alpha:g}"
        unmergeable = find_method(about["method"], results.task).unmergeable
        if (about["alpha"] if alpha is None else alpha) != 0 and not unmergeable:
            next_steps(
                ("a plain checkpoint", f"radapter merge {shlex.quote(what)}{at} --out {free('merged')}")
            )
        elif _can_be_swept(run):
            next_steps(("every alpha", f"radapter sweep {shlex.quote(what)}"))
    elif is_merged:
        _, loading = merged_steps(what, encoder.library, suite.task, has_classifier=head is not None)
        next_steps(loading)
    else:
        next_steps(("fine-tune it", f"radapter init {suite.task} --out {free('run.yaml')}"))
    return results


def named_sources(data: Sequence[str], task: str = DEFAULT_TASK) -> dict[str, str | Spec]:
    """Return the sources of a task by name: given as NAME=SOURCE, else named after their file or folder.

    Raises:
        ConfigError: not YAML, no source, or a repeated name.
    """
    entry = task_of(task)
    has_paths = entry.path_source is not None
    sources: dict[str, str | Spec] = {}
    for text in data:
        name, equals, spec = text.partition("=")
        if not (equals and name.replace("-", "_").isidentifier()):
            name, spec = "", text
        mapping = parsed(spec)
        value = mapping if isinstance(mapping, dict) else spec  # a folder may be called 2024
        if not is_source(value, entry.sources, may_be_path=has_paths):
            raise ConfigError(
                f"--data must be {'a path or ' if has_paths else ''}a YAML mapping such as '{entry.example}', or "
                f"NAME=SOURCE. Got '{text}'."
            )
        name = name or _name_of(value)
        if name in sources:
            raise ConfigError(f"--data names must differ. '{name}' is repeated. Use NAME=SOURCE.")
        sources[name] = value
    return sources


def parsed(text: str) -> Any:
    """Return a value as YAML reads it. Raises ConfigError if it is not YAML."""
    try:
        return yaml.load(text, Loader=BoundedLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"value must be text or YAML. Got '{text}'. Put it in quotes.") from error


def _own_sets(
    config: CommonConfig, encoder: DualEncoder, templates: tuple[str, ...] | None, processes: Processes
) -> Any:
    """The test sets of a run's configuration, with other templates if they are given."""
    suite: Any = suite_of(config, encoder, processes)
    return replace(suite, id_val=None, **({} if templates is None else {"templates": templates}))


def _can_be_swept(run: Path) -> bool:
    try:
        finished(run)
    except InputError:  # such as results of an older schema
        return False
    return True


def _name_of(source: str | Spec) -> str:
    if isinstance(source, str):
        return Path(source).stem
    found = next((source[key] for key in kind_keys() if key in source), "data")
    if isinstance(found, dict):
        return _name_of(found)  # {classification: SOURCE}
    return Path(found[0] if isinstance(found, list) else str(found)).stem
