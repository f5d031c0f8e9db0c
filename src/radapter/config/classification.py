"""Classification in run.yaml: its keys, and the suite that they describe."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from radapter.config.building import tested_sets, tested_source
from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.schema import METHOD, SELECT, SELECT_BY, CommonConfig, CommonData, SelectConfig, key
from radapter.config.sources import (
    CorruptedCopy,
    NamedSources,
    ShiftedSource,
    TrainSource,
    TransferSource,
    TransferSources,
)
from radapter.data import ClassificationSet, open_classification
from radapter.data.dividing import divided
from radapter.data.labelled.kinds import LABELLED, DataSource, labelled_source
from radapter.data.labelled.labels import read_classnames, renamed
from radapter.data.labelled.world import WorldSource
from radapter.data.paths import PATH_OR_NAME
from radapter.data.shards.stream import ShardStream, StreamSource, check_places, open_labelled_stream
from radapter.data.source import Source
from radapter.data.wording import Accepts
from radapter.errors import ConfigError, did_you_mean
from radapter.methods import METHODS
from radapter.models import DualEncoder
from radapter.processes import Processes
from radapter.tasks.classification import ClassificationSuite, TransferSet
from radapter.tasks.suite import ROLES
from radapter.world import KEPT_TEMPLATES
from radapter.zeroshot import name_key, templates


class DataConfig(CommonData):
    """What is trained on, selected on and reported on."""

    source_kinds: ClassVar[Sequence[type[Source]]] = [*LABELLED, CorruptedCopy]

    train: TrainSource = Field(description="images to train on")
    id_val: DataSource | None = key(
        None, "in-distribution validation images, which select alpha, epoch and learning rate"
    )
    id_test: NamedSources = Field(
        description="in-distribution test images: one source, or a mapping of names to sources"
    )
    ood: dict[str, ShiftedSource] = key(
        {}, "shifted test sets: a mapping of names to sources, or to {corrupt: id_test}; may be empty"
    )
    transfer: TransferSources = key(
        {},
        "test sets with other classes, novel or of another task: a mapping of names to "
        "sources, each with its own templates or data.templates; zero-shot accuracy on them "
        "is what a model kept; may be empty",
    )
    classnames: Annotated[list[str] | str | None, PATH_OR_NAME] = key(
        None, "class names: a list, a text file with one per line, or null for those of data.train"
    )
    rename: Annotated[dict[str, str], Accepts("a mapping of class names to new names")] = key(
        {}, "class name: its name in prompts, messages and files, in every set; may be empty"
    )
    templates: Annotated[list[str] | str, PATH_OR_NAME] = key(
        "short", "prompts: short, imagenet, a text file with one per line, or a list; each with one {}"
    )

    @classmethod
    def divided(cls, source: dict[str, Any]) -> dict[str, Any]:
        """Return the three sets; a table with class labels may have a column of splits."""
        return divided(source, labelled=True)


class ClassificationSelect(SelectConfig):
    """What is chosen on data.id_val, and by which figure."""

    by: Literal["top1"] = key("top1", SELECT_BY)


class RunConfig(CommonConfig):
    """A whole run.yaml of classification."""

    methods: ClassVar[MethodOf] = MethodOf(METHODS, "classification")
    task: Literal["classification"] = key("classification", "what is learned")
    method: Annotated[NamedSettings, methods] = METHOD
    select: ClassificationSelect = key(ClassificationSelect(), SELECT)
    data: DataConfig = Field(description="the data sets")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        taken = self.data.id_test.keys() | self.data.ood.keys()
        for name in self.data.transfer:
            if name in taken:
                raise ValueError(
                    f"names of data.transfer must differ from those of data.id_test and data.ood. '{name}' "
                    "is in both. Rename one."
                )
        return self


def classification_suite(
    config: RunConfig, encoder: DualEncoder, processes: Processes
) -> ClassificationSuite:
    """Open the sets. The classes are data.classnames or those of the training set, as data.rename names them."""
    data = config.data
    read = partial(open_classification, rename=data.rename, reading=config.reading)
    train: ClassificationSet | ShardStream
    listed = () if data.classnames is None else read_classnames(data.classnames)
    given = renamed(listed, data.rename) or None
    if isinstance(data.train, StreamSource):
        train = open_labelled_stream(
            data.train, classnames=given, rename=data.rename, name="train", reading=config.reading
        )
        check_places(train, per_step=config.train.batch_size, world_size=processes.size)
    else:
        train = read(data.train, classnames=given, name="train")
    names = train.classnames
    suite = ClassificationSuite(
        train=train,
        **tested_sets(data, partial(read, classnames=names), labelled_source),
        classnames=names,
        templates=templates(data.templates),
        transfer={
            name: _transfer_set(name, source, data.templates, read) for name, source in data.transfer.items()
        },
    )
    opened = (train, *suite.sets(*ROLES).values())
    _check_renamed(data.rename, {name for data in opened for name in data.given_names}.union(listed))
    return suite


def reopened_set(config: RunConfig, role: str, name: str, classnames: Sequence[str]) -> ClassificationSet:
    """Open one ID or OOD test set again; `classnames` are those of the training, empty for the set's own."""
    source = tested_source(config.data, role, name, labelled_source)
    names = tuple(classnames) or None
    return open_classification(
        source, classnames=names, rename=config.data.rename, name=name, reading=config.reading
    )


def _check_renamed(rename: Mapping[str, str], known: Collection[str]) -> None:
    keys = set(map(name_key, known))
    for old in rename:
        if name_key(old) not in keys:
            raise ConfigError(
                f"data.rename must map class names of a data set. None has the class '{old}'. Use a name that "
                f"'radapter data check' prints.{did_you_mean(old, sorted(known))}"
            )


def _transfer_set(
    name: str, given: TransferSource, common: Sequence[str] | str, read: Callable[..., ClassificationSet]
) -> TransferSet:
    """A set with its own classes; its templates are its source's own, else those of a task of the world."""
    task = given.source.world if isinstance(given.source, WorldSource) else ""
    prompts = KEPT_TEMPLATES.get(task, common) if given.templates is None else given.templates
    return TransferSet(read(given.source, name=name), templates(prompts))
