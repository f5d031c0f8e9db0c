"""`radapter evaluate`: a run or a model on labelled images, on image-text pairs, or on masked images."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from radapter.commands.building import AnySuite, report_long_captions, tested_images, tested_pairs
from radapter.commands.building_regions import tested_masks
from radapter.commands.checks import check_text_tower
from radapter.commands.class_texts import OTHER_CLASSES, check_texts
from radapter.commands.merge import check_alpha
from radapter.commands.reporting import print_results
from radapter.commands.terminal import bars, next_steps
from radapter.config import RetrievalRunConfig, SegmentationRunConfig, load_config
from radapter.config.mask_sources import MASK_KINDS
from radapter.config.pair_sources import PAIR_KINDS
from radapter.config.segmentation import RegionsConfig
from radapter.config.sources import KINDS, is_source
from radapter.data import MAX_BAD, open_classification, open_masks, open_pairs
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.errors import ConfigError, did_you_mean
from radapter.evaluation import TaskName
from radapter.models import DualEncoder, fingerprint, load
from radapter.processes import join
from radapter.protocol import (
    CONFIG,
    Bench,
    ClassificationSuite,
    Results,
    Selection,
    evaluate_run,
    read_about,
)
from radapter.protocol.experiment import zero_shot_row
from radapter.protocol.trained import HEAD
from radapter.report import METRICS
from radapter.segmentation import names_of
from radapter.zeroshot import name_key
from radapter.zeroshot import templates as prompts_of

_KINDS: dict[TaskName, Mapping[str, type[BaseModel]]] = {
    "classification": KINDS,
    "retrieval": PAIR_KINDS,
    "segmentation": MASK_KINDS,
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


def evaluate(
    what: str,
    data: Sequence[str],
    *,
    task: TaskName | None = None,
    alpha: float | None = None,
    classnames: str | None = None,
    templates: str | None = None,
    metric: str | None = None,
    allow_download: bool = False,
) -> Results:
    """Prints the metrics of a run beside zero-shot, or of a model, on test sets.

    A run's data.max_bad, data.max_pixels and data.join_captions hold here too. Of the processes that a launcher
    started each evaluates its share, and the main one prints.

    Args:
        what: a run folder, or a model's name.
        data: sources as in run.yaml, each a path or a YAML mapping, or NAME=SOURCE.
        task: what is measured; None for the run's, or classification.
        alpha: for a run; None for its chosen one.
        classnames: a text file or a YAML list; None for the run's, or for those of the first source.
        templates: short, imagenet, a text file or a YAML list; None for the run's, or short.
        metric: what the table shows, a key of `report.METRICS[task]`; None for the task's figure.
        allow_download: whether the hub may be asked.

    Raises:
        InputError: the run, the model, a source, the metric, or alpha.
    """
    processes = join()
    run = Path(what)
    is_run = (run / CONFIG).is_file()

    def opened() -> tuple[DualEncoder, AnySuite, float]:
        check_alpha(alpha)
        if not is_run and alpha is not None:
            raise ConfigError(f"--alpha is for a run. '{what}' is a model. Leave it out.")
        about = read_about(run) if is_run else {}
        measured: TaskName = task or about.get("task", "classification")
        if metric is not None and metric not in METRICS[measured]:
            raise ConfigError(
                f"--metric must be one of {', '.join(METRICS[measured])} for {measured}. Got '{metric}'."
                f"{did_you_mean(metric, METRICS[measured])}"
            )
        sources = named_sources(data, measured)
        for option, given in (("--classnames", classnames), ("--templates", templates)):
            if given is not None and option in _LACKING[measured]:
                raise ConfigError(f"{option} is for classification. Got it with {measured}. Leave it out.")
        config = load_config(run / CONFIG) if is_run else None
        download = allow_download or (config is not None and config.allow_download)
        max_pixels, max_bad = (
            (MAX_PIXELS, MAX_BAD) if config is None else (config.data.max_pixels, config.data.max_bad)
        )
        limits: dict[str, Any] = {"max_pixels": max_pixels, "max_bad": max_bad}
        encoder = load(what if config is None else config.model, allow_download=download)
        if measured == "classification":
            return (
                encoder,
                _labelled(
                    sources,
                    about,
                    encoder,
                    classnames=classnames,
                    templates=templates,
                    run=run,
                    allow_download=download,
                    **limits,
                ),
                max_bad,
            )
        check_text_tower(encoder)
        if measured == "segmentation":
            prompts = prompts_of(parsed(templates)) if templates is not None else about.get("templates")
            prompts = tuple(prompts or prompts_of("short"))
            masked = {
                name: open_masks(spec, name=name, **limits)
                for name, spec in sources.items()
                if not isinstance(spec, str)
            }
            for names, name in {data.classnames: name for name, data in masked.items()}.items():
                check_texts(encoder, names, prompts, origin=name, remedy=OTHER_CLASSES, parted=names_of)
            return (
                encoder,
                tested_masks(
                    masked,
                    encoder,
                    prompts,
                    config.regions if isinstance(config, SegmentationRunConfig) else RegionsConfig(),
                    unseen=tuple(about.get("unseen", ())),
                ),
                max_bad,
            )
        join_captions = config.data.join_captions if isinstance(config, RetrievalRunConfig) else True
        pairs = {
            name: open_pairs(spec, name=name, allow_download=download, join=join_captions, **limits)
            for name, spec in sources.items()
        }
        report_long_captions(tested_pairs(pairs), encoder)
        return encoder, tested_pairs(pairs), max_bad

    encoder, suite, max_bad = processes.everywhere(opened)
    with bars(quiet=not processes.is_main) as bar:
        bench = Bench(suite, encoder.preprocess, max_bad=max_bad, progress=bar.evaluated, processes=processes)
        if is_run:
            results = evaluate_run(run, encoder, bench, alpha=alpha)
        else:
            zero_shot = bench.zero_shot(encoder)
            results = Results(
                model=encoder.name,
                fingerprint=fingerprint(encoder),
                task=suite.task,
                seed=0,
                selection=Selection(split=None, rule="nothing was selected", n=0),
                rows=[zero_shot_row(*zero_shot.rows)],
                sweep=zero_shot.rows,
            )
    if processes.is_main:
        print_results(results, metric=metric)
        if is_run:
            next_steps(("a plain checkpoint", f"radapter merge {shlex.quote(what)} --to merged"))
        else:
            next_steps(("fine-tune it", f"radapter init {suite.task} --to run.yaml"))
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
        if not is_source(value, _KINDS[task]) or (task == "segmentation" and isinstance(value, str)):
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
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"value must be text or YAML. Got '{text}'. Put it in quotes.") from error


def _labelled(
    sources: Mapping[str, str | dict[str, Any]],
    about: Mapping[str, Any],
    encoder: DualEncoder,
    *,
    classnames: str | None,
    templates: str | None,
    run: Path,
    allow_download: bool,
    max_pixels: int,
    max_bad: float,
) -> ClassificationSuite:
    """Labelled images under the class names that were given, the run's, or those of the first source."""
    names = about.get("classnames") if classnames is None else parsed(classnames)
    read = partial(open_classification, allow_download=allow_download, max_pixels=max_pixels, max_bad=max_bad)
    (first_name, first), *others = sources.items()
    sets = {first_name: read(first, classnames=names, name=first_name)}
    names = sets[first_name].classnames
    sets |= {name: read(spec, classnames=names, name=name) for name, spec in others}
    if (run / HEAD).is_file() and list(map(name_key, names)) != list(map(name_key, about["classnames"])):
        raise ConfigError(
            f"--classnames must be those of '{run}', whose method '{about['method']}' trained a head for them. "
            f"Got {len(names)} others. Leave it out, or evaluate a run of a method without a head."
        )
    prompts = prompts_of(parsed(templates)) if templates is not None else about.get("templates")
    prompts = prompts or prompts_of("short")
    check_texts(
        encoder, names, prompts, origin=first_name, remedy=_OTHER_NAMES, refuse=not (run / HEAD).is_file()
    )
    return tested_images(sets, names, prompts)


def _name_of(source: str | dict[str, Any]) -> str:
    if isinstance(source, str):
        return Path(source).stem
    told = next((source[kind] for kind in {**KINDS, **PAIR_KINDS, **MASK_KINDS} if kind in source), "data")
    if isinstance(told, dict):
        return _name_of(told)  # {classification: SOURCE}
    return Path(told[0] if isinstance(told, list) else str(told)).stem
