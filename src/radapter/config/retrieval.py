"""Retrieval in run.yaml: its keys, and the suite that they describe."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from radapter.config.building import tested_sets, tested_source
from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.schema import (
    METHOD,
    SELECT,
    SELECT_BY,
    CommonConfig,
    CommonData,
    SelectConfig,
    TrainConfig,
    key,
)
from radapter.config.sources import CorruptedCopy, NamedPairSources, PairTrainSources, ShiftedPairSource
from radapter.data import PairSet, open_pairs
from radapter.data.pairs.equivalence import warn_if_large
from radapter.data.pairs.kinds import PAIRS, PairDataSource, pair_source
from radapter.data.pairs.long_captions import long_captions
from radapter.data.pairs.pair_set import joined
from radapter.data.shards.stream import ShardStream, StreamSource, check_places, open_pair_stream
from radapter.data.source import Source
from radapter.errors import ConfigError
from radapter.methods import RETRIEVAL
from radapter.models import DualEncoder
from radapter.processes import Processes
from radapter.tasks.retrieval import RetrievalSuite
from radapter.tasks.suite import ROLES


class RetrievalDataConfig(CommonData):
    """What is trained on, selected on and reported on."""

    source_kinds: ClassVar[Sequence[type[Source]]] = [*PAIRS, CorruptedCopy]

    train: PairTrainSources = Field(
        description="image-text pairs to train on: one source, or a list of sources that are trained on together"
    )
    id_val: PairDataSource | None = key(
        None, ("in-distribution validation pairs, one source, which select alpha, epoch and learning rate")
    )
    id_test: NamedPairSources = Field(
        description="in-distribution test pairs: one source, or a mapping of names to sources"
    )
    ood: dict[str, ShiftedPairSource] = key(
        {}, "shifted test pairs: a mapping of names to sources, or to {corrupt: id_test}; may be empty"
    )
    join_captions: bool = key(
        True, "whether images that share a caption are one target class, positives of each other"
    )


class RetrievalTrainConfig(TrainConfig):
    """How long, how fast and how exactly, and what a batch holds."""

    per_group: Annotated[int, Field(ge=1)] | None = key(
        None,
        "pairs of each target class in a batch, so that multi-positives occur; null draws pairs at random",
    )


class RetrievalSelect(SelectConfig):
    """What is chosen on data.id_val, and by which figure."""

    by: Literal["rsum"] = key("rsum", SELECT_BY)


class RetrievalRunConfig(CommonConfig):
    """A whole run.yaml of retrieval."""

    methods: ClassVar[MethodOf] = MethodOf(RETRIEVAL, "retrieval")
    task: Literal["retrieval"] = Field(description="what is learned")
    method: Annotated[NamedSettings, methods] = METHOD
    select: RetrievalSelect = key(RetrievalSelect(), SELECT)
    data: RetrievalDataConfig = Field(description="the data sets")
    train: RetrievalTrainConfig = key(RetrievalTrainConfig(), "the loop")

    @model_validator(mode="after")
    def _groups_fill_batches(self) -> Self:
        size, per_group = self.train.batch_size, self.train.per_group
        if per_group is not None and size % per_group:
            raise ValueError(
                f"train.batch_size must be a multiple of train.per_group, {per_group}. Got {size}. Use "
                f"train.batch_size={-(-size // per_group) * per_group}."
            )
        return self


def retrieval_suite(config: RetrievalRunConfig, encoder: DualEncoder, processes: Processes) -> RetrievalSuite:
    """Open the sets, and warn of captions that the encoder's context cuts."""
    data, join = config.data, config.data.join_captions
    read = partial(open_pairs, reading=config.reading, join=join)
    train: PairSet | ShardStream
    if any(isinstance(source, StreamSource) for source in data.train):
        train = _pair_stream(config, processes.size)
    elif len(data.train) == 1:
        train = read(data.train[0], name="train")
    else:
        train = joined([read(spec) for spec in data.train], name="train", join=join)
        if join:
            warn_if_large(train.figures, train.name)
    if isinstance(train, PairSet):
        _check_batches(train, config.train)
    suite = RetrievalSuite(
        train=train, **tested_sets(data, read, pair_source), per_group=config.train.per_group
    )
    report_long_captions(suite, encoder)
    return suite


def reopened_pairs(config: RetrievalRunConfig, role: str, name: str, classnames: Sequence[str]) -> PairSet:
    """Open one ID or OOD test set again; class names do not matter."""
    source = tested_source(config.data, role, name, pair_source)
    return open_pairs(source, name=name, reading=config.reading, join=config.data.join_captions)


def report_long_captions(suite: RetrievalSuite, encoder: DualEncoder) -> None:
    """Warn of captions that the text tower's context cuts, once for sets with the same captions.

    Only the first captions of a stream are read.
    """
    names: dict[tuple[str, ...], dict[str, None]] = {}
    if isinstance(suite.train, ShardStream):
        names[suite.train.first_captions()] = {f"{suite.train.name}, its first captions": None}
    elif suite.train is not None:
        names[suite.train.captions] = {suite.train.name: None}
    for data in suite.sets(*ROLES).values():
        names.setdefault(data.captions, {})[data.name] = None
    for captions, of in names.items():
        long_captions(captions, encoder, name=", ".join(of))


def _pair_stream(config: RetrievalRunConfig, processes: int) -> ShardStream:
    data, per_group = config.data, config.train.per_group
    if len(data.train) > 1:
        raise ConfigError(
            f"data.train must hold a stream alone. Got {len(data.train)} sources. Write them into one folder: "
            "radapter shards '[SOURCE, SOURCE]' --out DIR."
        )
    (source,) = data.train
    assert isinstance(source, StreamSource)
    train = open_pair_stream(source, join=data.join_captions, name="train", reading=config.reading)
    if per_group is not None and per_group > train.most_captions:
        raise ConfigError(
            f"train.per_group must be at most {train.most_captions} for a stream, the captions of the image that "
            f"has most. Got {per_group}. Give fewer."
        )
    check_places(train, per_step=config.train.batch_size // (per_group or 1), world_size=processes)
    return train


def _check_batches(train: PairSet, settings: RetrievalTrainConfig) -> None:
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
