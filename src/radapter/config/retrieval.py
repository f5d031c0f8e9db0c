"""The keys of run.yaml that retrieval alone has: images with captions of their own."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.schema import (
    METHOD,
    SELECT,
    SELECT_BY,
    CommonConfig,
    CommonData,
    SelectConfig,
    TrainConfig,
)
from radapter.config.sources import CorruptedCopy, NamedPairSources, PairTrainSources, ShiftedPairSource
from radapter.data.pairs.kinds import PAIRS, PairDataSource
from radapter.data.source import Source
from radapter.methods import RETRIEVAL


class RetrievalDataConfig(CommonData):
    """What is trained on, selected on and reported on."""

    source_kinds: ClassVar[Sequence[type[Source]]] = [*PAIRS, CorruptedCopy]

    train: PairTrainSources = Field(
        description="image-text pairs to train on: one source, or a list of sources that are trained on together"
    )
    id_val: PairDataSource | None = Field(
        default=None,
        description="in-distribution validation pairs, one source: they choose alpha, and nothing else does",
    )
    id_test: NamedPairSources = Field(
        description="in-distribution test pairs: one source, or a mapping of names to sources"
    )
    ood: dict[str, ShiftedPairSource] = Field(
        default_factory=dict,
        description="shifted test pairs: a mapping of names to sources, or to {corrupt: id_test}; may be empty",
    )
    join_captions: bool = Field(
        default=True,
        description="whether images that share a caption are one target class, positives of each other",
    )


class RetrievalTrainConfig(TrainConfig):
    """How long, how fast and how exactly, and what a batch holds."""

    per_group: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="pairs of each target class in a batch, so that multi-positives occur; null draws pairs at "
        "random",
    )


class RetrievalSelect(SelectConfig):
    """What is chosen on data.id_val, and by which figure."""

    by: Literal["rsum"] = Field(default="rsum", description=SELECT_BY)


class RetrievalRunConfig(CommonConfig):
    """A whole run.yaml of retrieval."""

    methods: ClassVar[MethodOf] = MethodOf(RETRIEVAL, "retrieval")
    task: Literal["retrieval"] = Field(description="what is learned")
    method: Annotated[NamedSettings, methods] = METHOD
    select: RetrievalSelect = Field(default=RetrievalSelect(), description=SELECT)
    data: RetrievalDataConfig = Field(description="the data sets")
    train: RetrievalTrainConfig = Field(default=RetrievalTrainConfig(), description="the loop")

    @model_validator(mode="after")
    def _groups_fill_batches(self) -> Self:
        size, per_group = self.train.batch_size, self.train.per_group
        if per_group is not None and size % per_group:
            raise ValueError(
                f"train.batch_size must be a multiple of train.per_group, {per_group}. Got {size}. Use "
                f"train.batch_size={-(-size // per_group) * per_group}."
            )
        return self
