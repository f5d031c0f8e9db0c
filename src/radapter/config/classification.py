"""The keys of run.yaml that classification alone has: images with class names."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.schema import METHOD, SELECT, SELECT_BY, CommonConfig, CommonData, SelectConfig
from radapter.config.sources import (
    CorruptedCopy,
    NamedSources,
    ShiftedSource,
    TrainSource,
    TransferSources,
)
from radapter.data.labelled.kinds import LABELLED, DataSource
from radapter.data.paths import PATH_OR_NAME
from radapter.data.source import Source
from radapter.methods import METHODS


class DataConfig(CommonData):
    """What is trained on, selected on and reported on."""

    source_kinds: ClassVar[Sequence[type[Source]]] = [*LABELLED, CorruptedCopy]

    train: TrainSource = Field(description="images to train on")
    id_val: DataSource | None = Field(
        default=None,
        description="in-distribution validation images: they choose alpha, and nothing else does",
    )
    id_test: NamedSources = Field(
        description="in-distribution test images: one source, or a mapping of names to sources"
    )
    ood: dict[str, ShiftedSource] = Field(
        default_factory=dict,
        description="shifted test sets: a mapping of names to sources, or to {corrupt: id_test}; may be empty",
    )
    transfer: TransferSources = Field(
        default_factory=dict,
        description="test sets with classes of their own, novel or of another task: a mapping of names to "
        "sources, each with its templates if not data.templates; zero-shot accuracy on them is what a model "
        "kept; may be empty",
    )
    classnames: Annotated[list[str] | str | None, PATH_OR_NAME] = Field(
        default=None,
        description="class names: a list, a text file with one a line, or null for those of data.train",
    )
    rename: dict[str, str] = Field(
        default_factory=dict,
        description="class name: the name to use for it in prompts, messages and files, in every set; may be empty",
    )
    templates: Annotated[list[str] | str, PATH_OR_NAME] = Field(
        default="short",
        description="prompts: short, imagenet, a text file with one a line, or a list; each with one {}",
    )


class ClassificationSelect(SelectConfig):
    """What is chosen on data.id_val, and by which figure."""

    by: Literal["top1"] = Field(default="top1", description=SELECT_BY)


class RunConfig(CommonConfig):
    """A whole run.yaml of classification."""

    methods: ClassVar[MethodOf] = MethodOf(METHODS, "classification")
    task: Literal["classification"] = Field(default="classification", description="what is learned")
    method: Annotated[NamedSettings, methods] = METHOD
    select: ClassificationSelect = Field(default=ClassificationSelect(), description=SELECT)
    data: DataConfig = Field(description="the data sets")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        taken = self.data.id_test.keys() | self.data.ood.keys()
        for name in self.data.transfer:
            if name in taken:
                raise ValueError(
                    f"names of data.transfer must differ from those of data.id_test and data.ood. '{name}' "
                    "stands in both. Rename one."
                )
        return self
