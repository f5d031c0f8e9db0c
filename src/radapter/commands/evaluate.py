"""`radapter evaluate`: a run or a model on test sets of any task."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from radapter.commands.reporting import print_sets
from radapter.commands.runs import merged_steps
from radapter.commands.terminal import next_steps, say
from radapter.config.bounded_yaml import BoundedLoader
from radapter.data.source import is_source
from radapter.errors import ConfigError, InputError, did_you_mean
from radapter.methods import why_unmergeable
from radapter.operations import evaluating
from radapter.operations.evaluating import Evaluation, Limits, name_of, recorded
from radapter.operations.task import Spec, task_of
from radapter.processes import join
from radapter.run import open_run
from radapter.runs.directory import CONFIG
from radapter.runs.results import Results
from radapter.storage import check_new_file, free
from radapter.task_list import DEFAULT_TASK


class Texts(NamedTuple):
    """The class names and templates of `--data`, as text of YAML; None for those of the run or the data."""

    classnames: str | None = None
    templates: str | None = None


class Output(NamedTuple):
    """What `evaluate` shows: a metric, None for the task's own, and a file for the results, None for none."""

    metric: str | None = None
    file: Path | None = None


_NO_TEXTS, _OWN_METRIC = Texts(), Output()


def evaluate(
    what: str,
    data: Sequence[str] = (),
    overrides: Sequence[str] = (),
    *,
    task: str | None = None,
    alpha: float | None = None,
    texts: Texts = _NO_TEXTS,
    output: Output = _OWN_METRIC,
    max_bad: float | None = None,
    allow_download: bool = False,
) -> Results:
    """Print the metrics of a run beside zero-shot, or of a model, on test sets; see `evaluating.evaluate`.

    Raises:
        InputError: the run, the model, its classifier, a source, the metric, the output file, or alpha.
    """
    processes, (metric, file) = join(), output

    def read() -> tuple[dict[str, str | Spec], evaluating.Texts]:
        if file is not None and processes.is_main:
            check_new_file(file, (".json",), name="--out")
        measured: str = task or recorded(what).get("task", DEFAULT_TASK)
        metrics = task_of(measured).metrics
        if metric is not None and metric not in metrics:
            raise ConfigError(
                f"--metric must be one of {', '.join(metrics)} for {measured}. Got '{metric}'."
                f"{did_you_mean(metric, metrics)}"
            )
        given = evaluating.Texts(*(None if text is None else parsed(text) for text in texts))
        return named_sources(data, measured), given

    sources, given = processes.everywhere(read)
    limits = Limits(max_bad, allow_download)
    found = evaluating.evaluate(what, sources, overrides, task=task, alpha=alpha, texts=given, limits=limits)
    if processes.is_main:
        if found.note is not None:
            say(found.note)
        print_sets(found.results, metric=metric, roles=not data)
        if file is not None:
            found.results.write_file(file)
            say(f"Wrote {file}.")
        _print_next(what, found, alpha)
    return found.results


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
        name = name or name_of(value)
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


def _print_next(what: str, found: Evaluation, alpha: float | None) -> None:
    task = found.results.task
    if (Path(what) / CONFIG).is_file():
        at = "" if alpha is None else f" --alpha {alpha:g}"
        unmergeable = why_unmergeable(found.about["method"], task)
        if (found.about["alpha"] if alpha is None else alpha) != 0 and not unmergeable:
            next_steps(
                ("a plain checkpoint", f"radapter merge {shlex.quote(what)}{at} --out {free('merged')}")
            )
        elif _can_be_swept(what):
            next_steps(("every alpha", f"radapter sweep {shlex.quote(what)}"))
    elif found.is_merged:
        _, loading, *_ = merged_steps(what, found.library, task, has_classifier=found.has_head)
        next_steps(loading)
    else:
        next_steps(("fine-tune it", f"radapter init {task} --out {free('run.yaml')}"))


def _can_be_swept(what: str) -> bool:
    try:
        return bool(open_run(what).results)
    except InputError:  # such as results of an older schema
        return False
