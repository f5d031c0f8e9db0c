"""Evaluating a run, a merged folder or a model on test sets of any task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from radapter.adapter.config import check_alpha
from radapter.comparison.chosen import COMPARISON
from radapter.config import CommonConfig, load_stored
from radapter.config.building import suite_of
from radapter.config.reading import plain
from radapter.data import MAX_BAD
from radapter.data.labelled.labels import read_classnames
from radapter.data.source import Reading, is_source
from radapter.errors import ConfigError
from radapter.models import DualEncoder, load
from radapter.operations.bars import bars
from radapter.operations.sets import kind_keys
from radapter.operations.task import Asked, Opened, Spec, task_of
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
    """Class names, a list or a file, and templates, as in run.yaml; None for those of the run or the data."""

    classnames: Sequence[str] | str | None = None
    templates: Sequence[str] | str | None = None


class Limits(NamedTuple):
    """The largest fraction of unreadable images, None for the run's own, and whether downloads are allowed."""

    max_bad: float | None = None
    allow_download: bool = False


class Evaluation(NamedTuple):
    """The results, and what was evaluated.

    Attributes:
        about: what the run or the merged folder records; empty for a model.
        library: that of the model.
        is_merged: whether a merged folder was evaluated as what it was merged from.
        has_head: whether its own classifier was used.
        note: why not, if it was not.
    """

    results: Results
    about: Mapping[str, Any]
    library: str
    is_merged: bool = False
    has_head: bool = False
    note: str | None = None


NO_TEXTS, NO_LIMITS = Texts(), Limits()
READS = ("model", "data", "regions")
"""Sections of run.yaml that the test sets of a run depend on."""
READS_WITH_DATA = ("model", "data.max_bad", "data.max_pixels", "data.join_captions", "regions")
"""The keys of them that apply to given sources too."""


def evaluate(
    what: str,
    sources: Mapping[str, str | Spec],
    overrides: Sequence[str] = (),
    *,
    task: str | None = None,
    alpha: float | None = None,
    texts: Texts = NO_TEXTS,
    limits: Limits = NO_LIMITS,
) -> Evaluation:
    """Evaluate a run beside zero-shot, or a model, on named test sets; without any, on the run's own.

    A run's data.max_bad, data.max_pixels and data.join_captions apply; `overrides` replace its settings. A merged
    folder is evaluated with its own classifier if the data have its classes. With several processes, each evaluates
    its share.

    Raises:
        InputError: the run, the model, its classifier, a source, or alpha.
    """
    processes = join()
    run = Path(what)
    is_run = (run / CONFIG).is_file()

    def opened() -> tuple[DualEncoder, Opened, float, Mapping[str, Any]]:
        if alpha is not None:
            check_alpha(alpha)
        if not is_run and alpha is not None:
            raise ConfigError(f"--alpha is for a run. '{what}' is a model. Leave it out.")
        if not is_run and overrides:
            raise ConfigError(
                f"key=value replaces settings of a run. '{what}' is a model. Leave '{overrides[0]}' out; --data "
                "gives test sets, and --max-bad the share of their images that may be unreadable."
            )
        command = "evaluate --data" if sources else "evaluate"
        check_overrides(overrides, READS_WITH_DATA if sources else READS, command=command)
        about = recorded(what)
        measured: str = task or about.get("task", DEFAULT_TASK)
        entry = task_of(measured)
        for option, value in (("--classnames", texts.classnames), ("--templates", texts.templates)):
            if value is not None and option not in entry.options:
                readers = " and ".join(name for name in TASKS if option in task_of(name).options)
                raise ConfigError(f"{option} is for {readers}. Got it with {measured}. Leave it out.")
        given = [*overrides, *([] if limits.max_bad is None else [f"data.max_bad={limits.max_bad}"])]
        config = config_of_run(run, given, allow_download=limits.allow_download) if is_run else None
        if (run / COMPARISON).is_file():
            raise ConfigError(
                f"evaluate needs a run or a model. '{what}' is a comparison. Write one of its models with 'radapter "
                f"merge {what} --method METHOD --out merged', and evaluate that."
            )
        if not sources and config is None:
            raise ConfigError(f"--data is needed for a model. '{what}' is one. Give --data NAME=SOURCE.")
        if not sources and (texts.classnames is not None or measured != about["task"]):
            raise ConfigError("--classnames and --task need --data. The test sets of the run have their own.")
        read = Reading(max_bad=MAX_BAD if limits.max_bad is None else limits.max_bad)
        reading = replace(read if config is None else config.reading, allow_download=limits.allow_download)
        encoder = load(what if config is None else config.model, allow_download=limits.allow_download)
        prompts = None if texts.templates is None else prompts_of(texts.templates)
        if config is not None and not sources:
            sets = Opened(_own_sets(config, encoder, prompts, processes))
        else:
            names = None if texts.classnames is None else read_classnames(texts.classnames)
            sets = entry.tested(Asked(what, config, about, encoder, sources, reading, names, prompts))
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
    return Evaluation(results, about, encoder.library, is_merged, head is not None, note)


def recorded(what: str) -> Mapping[str, Any]:
    """Return what a run or a merged folder records of itself; empty for another model."""
    run = Path(what)
    return read_about(run) if (run / CONFIG).is_file() else merged_facts(run)


def check_overrides(overrides: Sequence[str], reads: Sequence[str], *, command: str) -> None:
    """Raise ConfigError if a `key=value` replaces a setting that a command does not read.

    `reads` are keys of run.yaml; a section stands for all of its keys.
    """
    for override in overrides:
        key, equals, _ = override.partition("=")
        if equals and not any(f"{key.strip()}.".startswith(f"{read}.") for read in reads):
            raise ConfigError(
                f"{command} reads {', '.join(reads)} of a run's settings. Got '{override}'. Leave it out."
            )


def config_of_run(run: Path, overrides: Sequence[str] = (), *, allow_download: bool) -> CommonConfig:
    """Return a run's configuration; only the caller decides whether the hub may be asked."""
    return load_stored(run / CONFIG, overrides).model_copy(update={"allow_download": allow_download})


def named(source: object, task: str) -> dict[str, str | Spec]:
    """Return the sources of a task by name, given as in `data.id_test`: one, or a mapping of names to sources.

    A source without a name is named after its file or folder.

    Raises:
        ConfigError: it is neither.
    """
    entry = task_of(task)
    has_paths = entry.path_source is not None

    def fits(value: object) -> bool:
        return is_source(value, entry.sources, may_be_path=has_paths)

    value = plain(source)
    if fits(value):
        return {name_of(value): value}
    if isinstance(value, dict) and value and all(map(fits, value.values())):
        return {str(name): each for name, each in value.items()}
    raise ConfigError(
        f"a source must be {'a path or ' if has_paths else ''}a mapping such as {entry.example}, or a mapping of "
        f"names to sources. Got {source!r}."
    )


def name_of(source: str | Spec) -> str:
    """Return a name for a source, after its file or folder."""
    if isinstance(source, str):
        return Path(source).stem
    found = next((source[key] for key in kind_keys() if key in source), "data")
    if isinstance(found, dict):
        return name_of(found)  # {classification: SOURCE}
    return Path(found[0] if isinstance(found, list) else str(found)).stem


def _own_sets(
    config: CommonConfig, encoder: DualEncoder, templates: tuple[str, ...] | None, processes: Processes
) -> Any:
    """The test sets of a run's configuration, with other templates if they are given."""
    suite: Any = suite_of(config, encoder, processes)
    return replace(suite, id_val=None, **({} if templates is None else {"templates": templates}))
