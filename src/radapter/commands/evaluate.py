"""`radapter evaluate`: a run or a model on labelled images, on image-text pairs, or on masked images."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from radapter.adapter.config import check_alpha
from radapter.commands.checks import check_text_tower
from radapter.commands.class_texts import OTHER_CLASSES, check_texts
from radapter.commands.compare import COMPARISON
from radapter.commands.encoders import config_of_run
from radapter.commands.reporting import print_sets
from radapter.commands.runs import merged_steps
from radapter.commands.terminal import bars, free, next_steps, say
from radapter.config import CommonConfig, RetrievalRunConfig, SegmentationRunConfig
from radapter.config.bounded_yaml import BoundedLoader
from radapter.config.building import (
    AnySuite,
    report_long_captions,
    suite_of,
    tested_images,
    tested_pairs,
)
from radapter.config.building_regions import tested_masks
from radapter.config.segmentation import RegionsConfig
from radapter.data import MAX_BAD, ClassificationSet, open_classification, open_masks, open_pairs
from radapter.data.labelled.kinds import LABELLED
from radapter.data.labelled.labels import read_classnames
from radapter.data.masks.kinds import MASKS
from radapter.data.pairs.kinds import PAIRS
from radapter.data.source import Reading, Source, is_source
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.evaluation import TaskName
from radapter.models import DualEncoder, load
from radapter.processes import Processes, join
from radapter.report import METRICS
from radapter.runs.bench import Bench
from radapter.runs.directory import CONFIG, evaluate_model, evaluate_run
from radapter.runs.merged import FolderClassifier, folder_classifier, merged_facts
from radapter.runs.outcome import HEAD, read_about
from radapter.runs.results import Results
from radapter.segmentation import names_of
from radapter.tasks.classification import ClassificationSuite
from radapter.tasks.retrieval import RetrievalSuite
from radapter.zeroshot import LinearHead, name_key
from radapter.zeroshot import templates as prompts_of

_KINDS: dict[TaskName, Sequence[type[Source]]] = {
    "classification": LABELLED,
    "retrieval": PAIRS,
    "segmentation": MASKS,
}
_LACKING: dict[TaskName, tuple[str, ...]] = {
    "classification": (),
    "retrieval": ("--classnames", "--templates"),
    "segmentation": ("--classnames",),
}
_OTHER_NAMES = (
    "Give other names with --classnames, and labels: {{'{name}': OTHER NAME}} beside the source, or evaluate a run "
    "of a method that trains a head, such as r-adapter+head."
)
_EXAMPLES: dict[TaskName, str] = {
    "classification": "{csv: a.csv}",
    "retrieval": "{csv: a.csv}",
    "segmentation": "{masks: masks, images: images, classes: names.txt}",
}


class _Opened(NamedTuple):
    """What is evaluated, and on what. note: what the user should know of it; None for nothing."""

    encoder: DualEncoder
    suite: AnySuite
    max_bad: float
    about: Mapping[str, Any]
    head: LinearHead | None = None
    note: str | None = None


def evaluate(
    what: str,
    data: Sequence[str] = (),
    *,
    task: TaskName | None = None,
    alpha: float | None = None,
    classnames: str | None = None,
    templates: str | None = None,
    metric: str | None = None,
    max_bad: float | None = None,
    allow_download: bool = False,
) -> Results:
    """Prints the metrics of a run beside zero-shot, or of a model, on test sets.

    A run's data.max_bad, data.max_pixels and data.join_captions hold here too. A merged folder is measured under its
    own classifier where the data have its classes. Of the processes that a launcher started each evaluates its
    share, and the main one prints.

    Raises:
        InputError: the run, the model, its classifier, a source, the metric, or alpha.
    """
    processes = join()
    run = Path(what)
    is_run = (run / CONFIG).is_file()

    def opened() -> _Opened:
        if alpha is not None:
            check_alpha(alpha)
        if not is_run and alpha is not None:
            raise ConfigError(f"--alpha is for a run. '{what}' is a model. Leave it out.")
        about = read_about(run) if is_run else merged_facts(run)
        measured: TaskName = task or about.get("task", "classification")
        if metric is not None and metric not in METRICS[measured]:
            raise ConfigError(
                f"--metric must be one of {', '.join(METRICS[measured])} for {measured}. Got '{metric}'."
                f"{did_you_mean(metric, METRICS[measured])}"
            )
        for option, value in (("--classnames", classnames), ("--templates", templates)):
            if value is not None and option in _LACKING[measured]:
                raise ConfigError(f"{option} is for classification. Got it with {measured}. Leave it out.")
        limit = [] if max_bad is None else [f"data.max_bad={max_bad}"]
        config = config_of_run(run, limit, allow_download=allow_download) if is_run else None
        if (run / COMPARISON).is_file():
            raise ConfigError(
                f"evaluate needs a run or a model. '{what}' is a comparison. Write one of its models with 'radapter "
                f"merge {what} --method METHOD --to merged', and evaluate that."
            )
        if not data and config is None:
            raise ConfigError(f"--data is needed for a model. '{what}' is one. Give --data NAME=SOURCE.")
        if not data and (classnames is not None or measured != about["task"]):
            raise ConfigError("--classnames and --task need --data. The test sets of the run have their own.")
        sources = named_sources(data, measured)
        reading = (
            Reading(max_bad=MAX_BAD if max_bad is None else max_bad) if config is None else config.reading
        )
        reading = replace(reading, allow_download=allow_download)
        accepted = reading.max_bad
        encoder = load(what if config is None else config.model, allow_download=allow_download)
        given = None if templates is None else prompts_of(parsed(templates))
        prompts = tuple(given or about.get("templates") or prompts_of("short"))
        if config is not None and not sources:
            return _Opened(encoder, _own_sets(config, encoder, given, processes), accepted, about)
        if measured == "classification":
            read = partial(open_classification, reading=reading)
            names = None if classnames is None else read_classnames(parsed(classnames))
            if is_run:
                suite = _labelled(sources, names or about.get("classnames"), prompts, read)
                _check_head(run, about, suite)
                _check_names(encoder, suite, refuse=not (run / HEAD).is_file())
                return _Opened(encoder, suite, accepted, about)
            classifier, note = folder_classifier(run, encoder.embed_dim), None
            if classifier is None:
                suite = _labelled(sources, names, prompts, read)
            else:
                suite, misfit = _under(
                    classifier, sources, names, prompts, read, has_templates=given is not None
                )
                if misfit is None:
                    return _Opened(encoder, suite, accepted, about, classifier.head)
                note = f"The classifier of '{what}' is not used, but a zero-shot head: {misfit}"
            _check_names(encoder, suite, refuse=True)
            return _Opened(encoder, suite, accepted, about, None, note)
        check_text_tower(encoder)
        if measured == "segmentation":
            masks = {
                name: open_masks(spec, name=name, reading=reading)
                for name, spec in sources.items()
                if not isinstance(spec, str)
            }
            for own, name in {data.classnames: name for name, data in masks.items()}.items():
                check_texts(encoder, own, prompts, origin=name, remedy=OTHER_CLASSES, parted=names_of)
            regions = config.regions if isinstance(config, SegmentationRunConfig) else RegionsConfig()
            unseen = tuple(about.get("unseen", ()))
            return _Opened(
                encoder, tested_masks(masks, encoder, prompts, regions, unseen=unseen), accepted, about
            )
        join_captions = config.data.join_captions if isinstance(config, RetrievalRunConfig) else True
        pairs = {
            name: open_pairs(spec, name=name, reading=reading, join=join_captions)
            for name, spec in sources.items()
        }
        report_long_captions(tested_pairs(pairs), encoder)
        return _Opened(encoder, tested_pairs(pairs), accepted, about)

    found = processes.everywhere(opened)
    encoder, suite, about = found.encoder, found.suite, found.about
    is_merged = found.head is not None or (not is_run and "method" in about)
    with bars(quiet=not processes.is_main) as bar:
        bench = Bench(
            suite, encoder.preprocess, max_bad=found.max_bad, progress=bar.evaluated, processes=processes
        )
        if is_run:
            results = evaluate_run(run, encoder, bench, alpha=alpha)
        elif is_merged and (found.head is not None or suite.task != "classification"):
            method = f"{about.get('method', 'classifier')} (merged)"
            results = evaluate_model(
                encoder, bench, method=method, alpha=about.get("alpha", 1.0), head=found.head
            )
        else:
            results = evaluate_model(encoder, bench)
    if processes.is_main:
        if found.note is not None:
            say(found.note)
        print_sets(results, metric=metric, roles=not data)
        if is_run:
            at = "" if alpha is None else f" --alpha {alpha:g}"
            is_zero_shot = (about["alpha"] if alpha is None else alpha) == 0
            next_steps(
                ("every alpha", f"radapter sweep {shlex.quote(what)}")
                if is_zero_shot
                else ("a plain checkpoint", f"radapter merge {shlex.quote(what)}{at} --to {free('merged')}")
            )
        elif is_merged:
            has_classifier = found.head is not None
            _, loading = merged_steps(what, encoder.library, suite.task, has_classifier=has_classifier)
            next_steps(loading)
        else:
            next_steps(("fine-tune it", f"radapter init {suite.task} --to {free('run.yaml')}"))
    return results


def named_sources(data: Sequence[str], task: TaskName = "classification") -> dict[str, str | dict[str, Any]]:
    """Sources of a task by name: given as NAME=SOURCE, else named after what they read.

    Raises:
        ConfigError: not YAML, no source, or a name that stands twice.
    """
    sources: dict[str, str | dict[str, Any]] = {}
    for text in data:
        name, equals, spec = text.partition("=")
        if not (equals and name.replace("-", "_").isidentifier()):
            name, spec = "", text
        told = parsed(spec)
        value = told if isinstance(told, dict) else spec  # a folder may be called 2024
        if not is_source(value, _KINDS[task], may_be_path=task != "segmentation"):
            raise ConfigError(
                f"--data must be {'' if task == 'segmentation' else 'a path, '}a YAML mapping such as "
                f"'{_EXAMPLES[task]}', or NAME=SOURCE. Got '{text}'."
            )
        name = name or _name_of(value)
        if name in sources:
            raise ConfigError(f"--data names must differ. '{name}' stands twice. Use NAME=SOURCE.")
        sources[name] = value
    return sources


def parsed(text: str) -> Any:
    """A value as YAML reads it.

    Raises:
        ConfigError: it is no YAML.
    """
    try:
        return yaml.load(text, Loader=BoundedLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"value must be text or YAML. Got '{text}'. Put it in quotes.") from error


def _own_sets(
    config: CommonConfig, encoder: DualEncoder, templates: tuple[str, ...] | None, processes: Processes
) -> AnySuite:
    """The test sets that a run's configuration names, under these templates where they are given."""
    suite = suite_of(config, encoder, processes)
    report_long_captions(suite, encoder)
    if isinstance(suite, RetrievalSuite):
        return replace(suite, id_val=None)
    return replace(suite, id_val=None, templates=templates or suite.templates)


def _labelled(
    sources: Mapping[str, str | dict[str, Any]],
    names: Sequence[str] | None,
    prompts: tuple[str, ...],
    read: Callable[..., ClassificationSet],
) -> ClassificationSuite:
    """Labelled images under these class names, or those of the first source."""
    sets: dict[str, ClassificationSet] = {}
    for name, spec in sources.items():
        sets[name] = read(spec, classnames=names, name=name)
        names = sets[name].classnames
    assert names is not None
    return tested_images(sets, names, prompts)


def _under(
    classifier: FolderClassifier,
    sources: Mapping[str, str | dict[str, Any]],
    names: tuple[str, ...] | None,
    prompts: tuple[str, ...],
    read: Callable[..., ClassificationSet],
    *,
    has_templates: bool,
) -> tuple[ClassificationSuite, str | None]:
    """Labelled images under the classes of a classifier; or under others, and why."""
    if has_templates:
        misfit = "--templates is given."
    elif names is not None and {*map(name_key, names)} != {*map(name_key, classifier.classnames)}:
        misfit = f"--classnames gives {len(names)} names that are not its {len(classifier.classnames)}."
    else:
        try:
            return _labelled(sources, classifier.classnames, prompts, read), None
        except DataError as error:
            misfit = str(error)
    return _labelled(sources, names, prompts, read), misfit


def _check_head(run: Path, about: Mapping[str, Any], suite: ClassificationSuite) -> None:
    """Raises where a run has a head and the class names are others."""
    if (run / HEAD).is_file() and [*map(name_key, suite.classnames)] != [*map(name_key, about["classnames"])]:
        raise ConfigError(
            f"--classnames must be those of '{run}', whose method '{about['method']}' trained a head for them. "
            f"Got {len(suite.classnames)} others. Leave it out, or evaluate a run of a method without a head."
        )


def _check_names(encoder: DualEncoder, suite: ClassificationSuite, *, refuse: bool) -> None:
    check_texts(
        encoder,
        suite.classnames,
        suite.templates,
        origin=suite.train.name,
        remedy=_OTHER_NAMES,
        refuse=refuse,
    )


def _name_of(source: str | dict[str, Any]) -> str:
    if isinstance(source, str):
        return Path(source).stem
    keys = [kind.key() for kinds in _KINDS.values() for kind in kinds]
    told = next((source[key] for key in keys if key in source), "data")
    if isinstance(told, dict):
        return _name_of(told)  # {classification: SOURCE}
    return Path(told[0] if isinstance(told, list) else str(told)).stem
