"""From a checked configuration to the objects that a run is made of. Configurations go no further than here."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from radapter.config import CommonConfig, RetrievalRunConfig, RunConfig, SegmentationRunConfig
from radapter.config.building_regions import segmentation_suite
from radapter.config.retrieval import RetrievalTrainConfig
from radapter.config.schema import TRAIN_KEYS
from radapter.config.shifted import shifted_sources
from radapter.config.sources import TransferSource
from radapter.data import ClassificationSet, PairSet, open_classification, open_pairs
from radapter.data.labelled.kinds import labelled_source
from radapter.data.labelled.labels import read_classnames, renamed
from radapter.data.labelled.world import WorldSource
from radapter.data.pairs.equivalence import warn_if_large
from radapter.data.pairs.kinds import pair_source
from radapter.data.pairs.long_captions import long_captions
from radapter.data.pairs.pair_set import joined
from radapter.data.shards.plan import check_places
from radapter.data.shards.stream import (
    ShardStream,
    StreamSource,
    open_labelled_stream,
    open_pair_stream,
)
from radapter.errors import ConfigError, did_you_mean
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.storage import is_lock_or_draft
from radapter.tasks.classification import ClassificationSuite, TransferSet
from radapter.tasks.recipe import Recipe
from radapter.tasks.retrieval import RetrievalSuite
from radapter.tasks.segmentation import SegmentationSuite
from radapter.tasks.suite import ROLES
from radapter.world import KEPT_TEMPLATES
from radapter.zeroshot import name_key, templates

AnySuite = ClassificationSuite | RetrievalSuite | SegmentationSuite


def recipe_of(config: CommonConfig) -> Recipe:
    """Every number of the training."""
    return Recipe(
        settings=config.methods.settings(config.method),
        loss=config.loss.name,
        margin=config.loss.margin,
        label_smoothing=config.loss.label_smoothing,
        learning_rate=config.train.lr,
        max_bad=config.data.max_bad,
        **{key: getattr(config.train, key) for key in TRAIN_KEYS},
    )


def suite_of(config: CommonConfig, encoder: DualEncoder, processes: Processes = ALONE) -> AnySuite:
    """Every data set of the configuration's task, opened.

    Args:
        config: of any task.
        encoder: as it came; regions are mined with it, and cut to its input.
        processes: all of them call this; the main one mines.

    Raises:
        InputError: a data set, a class list or a template is missing or wrong, or batches cannot be filled.
    """
    if isinstance(config, RetrievalRunConfig):
        return _retrieval_suite(config, processes.size)
    if isinstance(config, SegmentationRunConfig):
        return segmentation_suite(config, encoder, processes)
    assert isinstance(config, RunConfig)
    return _classification_suite(config, processes.size)


def tested_images(
    sets: Mapping[str, ClassificationSet], classnames: Sequence[str], prompts: Sequence[str]
) -> ClassificationSuite:
    """A suite that is only evaluated: nothing is trained or selected on it."""
    first = next(iter(sets.values()))
    return ClassificationSuite(
        train=first, id_val=None, id_test=sets, ood={}, classnames=tuple(classnames), templates=tuple(prompts)
    )


def absent_folder(path: Path) -> bool:
    """Whether nothing stands in the way at `path`: it is absent, or a folder with at most a lock and drafts."""
    return not path.exists() or (path.is_dir() and all(map(is_lock_or_draft, path.iterdir())))


def tested_pairs(sets: Mapping[str, PairSet]) -> RetrievalSuite:
    """A suite that is only evaluated: nothing is trained or selected on it."""
    return RetrievalSuite(train=next(iter(sets.values())), id_val=None, id_test=sets, ood={})


def report_long_captions(suite: AnySuite, encoder: DualEncoder) -> None:
    """Warns of captions that the text tower's context cuts, once where several sets have the same captions.

    Of a stream the captions of its first images are looked at.

    Args:
        suite: of a classification or a segmentation nothing is asked: their captions are templates.
        encoder: has a text tower and its tokenizer.
    """
    if not isinstance(suite, RetrievalSuite):
        return
    names: dict[tuple[str, ...], dict[str, None]] = {}
    if isinstance(suite.train, ShardStream):
        names[suite.train.first_captions()] = {f"{suite.train.name}, its first captions": None}
    else:
        names[suite.train.captions] = {suite.train.name: None}
    for data in suite.sets(*ROLES).values():
        names.setdefault(data.captions, {})[data.name] = None
    for captions, of in names.items():
        long_captions(captions, encoder, name=", ".join(of))


def _retrieval_suite(config: RetrievalRunConfig, processes: int) -> RetrievalSuite:
    data, join = config.data, config.data.join_captions
    read = partial(
        open_pairs,
        reading=config.reading,
        join=join,
    )
    train: PairSet | ShardStream
    if any(isinstance(source, StreamSource) for source in data.train):
        train = _pair_stream(config, processes)
    elif len(data.train) == 1:
        train = read(data.train[0], name="train")
    else:
        train = joined([read(spec) for spec in data.train], name="train", join=join)
        if join:
            warn_if_large(train.figures, train.name)
    if isinstance(train, PairSet):
        _check_batches(train, config.train)
    return RetrievalSuite(
        train=train,
        id_val=None if data.id_val is None else read(data.id_val, name="id_val"),
        id_test={name: read(spec, name=name) for name, spec in data.id_test.items()},
        ood={
            name: read(source, name=name)
            for name, source in shifted_sources(data.ood, data.id_test, pair_source).items()
        },
        per_group=config.train.per_group,
    )


def _pair_stream(config: RetrievalRunConfig, processes: int) -> ShardStream:
    """The stream that is trained on alone."""
    data, per_group = config.data, config.train.per_group
    if len(data.train) > 1:
        raise ConfigError(
            f"data.train must hold a stream alone. Got {len(data.train)} sources. Write them into one folder: "
            "radapter shards '[SOURCE, SOURCE]' --to DIR."
        )
    (source,) = data.train
    assert isinstance(source, StreamSource)
    train = open_pair_stream(source, join=data.join_captions, name="train", reading=config.reading)
    if per_group is not None and per_group > train.most_captions:
        raise ConfigError(
            f"train.per_group must be at most {train.most_captions} for a stream, the captions of the image that "
            f"has most. Got {per_group}. Give fewer."
        )
    _check_stream(train, processes, images=config.train.batch_size // (per_group or 1))
    return train


def _check_stream(stream: ShardStream, processes: int, *, images: int) -> None:
    """Raises ConfigError where the processes cannot share the shards, or `images` a step."""
    check_places(
        shards=len(stream.shards.counts),
        per_step=images,
        samples=len(stream),
        world_size=processes,
        readers=stream.readers,
        where=str(stream.shards.folder),
    )


def _check_batches(train: PairSet, settings: RetrievalTrainConfig) -> None:
    """Raises ConfigError where the target classes cannot fill a batch."""
    if settings.per_group is None:
        return
    sizes = torch.unique(train.samples().targets, return_counts=True)[1]
    classes, largest = len(sizes), int(sizes.max())
    if settings.per_group > largest:
        raise ConfigError(
            f"train.per_group must be at most {largest}, the pairs of the largest target class of "
            f"'{train.name}'. Got {settings.per_group}. Give fewer, or images with more captions."
        )
    if settings.batch_size > classes * settings.per_group:
        raise ConfigError(
            f"train.batch_size must be at most {classes * settings.per_group}, train.per_group pairs of each of the "
            f"{classes} target classes of '{train.name}'. Got {settings.batch_size}. Give a smaller one, or "
            "more data."
        )


def _classification_suite(config: RunConfig, processes: int) -> ClassificationSuite:
    """The class names are the user's, else those of the training set, under the names that data.rename gives."""
    data = config.data
    read = partial(
        open_classification,
        rename=data.rename,
        reading=config.reading,
    )
    train: ClassificationSet | ShardStream
    listed = () if data.classnames is None else read_classnames(data.classnames)
    given = renamed(listed, data.rename) or None
    if isinstance(data.train, StreamSource):
        train = open_labelled_stream(
            data.train, classnames=given, rename=data.rename, name="train", reading=config.reading
        )
        _check_stream(train, processes, images=config.train.batch_size)
    else:
        train = read(data.train, classnames=given, name="train")
    names = train.classnames
    suite = ClassificationSuite(
        train=train,
        id_val=None if data.id_val is None else read(data.id_val, classnames=names, name="id_val"),
        id_test={name: read(spec, classnames=names, name=name) for name, spec in data.id_test.items()},
        ood={
            name: read(spec, classnames=names, name=name)
            for name, spec in shifted_sources(data.ood, data.id_test, labelled_source).items()
        },
        classnames=names,
        templates=templates(data.templates),
        transfer={
            name: _transfer_set(name, source, data.templates, read) for name, source in data.transfer.items()
        },
    )
    opened = (train, *suite.sets(*ROLES).values())
    _check_renamed(data.rename, {name for data in opened for name in data.given_names}.union(listed))
    return suite


def _check_renamed(rename: Mapping[str, str], known: Collection[str]) -> None:
    """Raises ConfigError where data.rename names a class that no set has."""
    keys = set(map(name_key, known))
    for old in rename:
        if name_key(old) not in keys:
            raise ConfigError(
                f"data.rename must map class names of a data set. None has the class '{old}'. Use a name that "
                f"'radapter data check' prints.{did_you_mean(old, sorted(known))}"
            )


def _transfer_set(
    name: str,
    given: TransferSource,
    common: Sequence[str] | str,
    read: Callable[..., ClassificationSet],
) -> TransferSet:
    """A set under its own class names; its templates stand beside its source, or come with a task of the world."""
    task = given.source.world if isinstance(given.source, WorldSource) else ""
    prompts = KEPT_TEMPLATES.get(task, common) if given.templates is None else given.templates
    return TransferSet(read(given.source, name=name), templates(prompts))
