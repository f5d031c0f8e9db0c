"""Values in `data` of run.yaml: sources of `radapter.data`, named sources, and copies of test sets.

    data:
      train: path/to/folder                                        # one folder a class; or {stream: shards}
      id_val: {csv: table.csv, image: path, label: species}
      id_test: {parquet: photo.parquet, part: [0.5, 1.0]}
      ood:
        sketch: {hub: user/dataset, split: test, labels: {sneaker: shoe}}
        foggy: {corrupt: id_test, type: fog}
      transfer:
        pets: {coop: split_zhou_OxfordPets.json, images: images, split: test, templates: "a photo of a {}."}

A source is checked here and opened by `radapter.data`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from radapter.data.images.corruptions import check_corruption
from radapter.data.labelled.kinds import LABELLED, DataSource
from radapter.data.labelled.source import LabelledSource
from radapter.data.masks.kinds import MASKS, MaskDataSource
from radapter.data.masks.source import MaskSource
from radapter.data.pairs.kinds import PAIRS, PairDataSource
from radapter.data.pairs.source import PairSource
from radapter.data.shards.stream import StreamSource
from radapter.data.source import Kinds, Source, is_source, source_type, stored
from radapter.data.wording import Accepts


class CorruptedCopy(Source):
    """A corrupted copy of a test set, only for data.ood: `{corrupt: id_test}`."""

    corrupt: str = Field(description="the set of data.id_test that is copied; a single one is named id_test")
    type: str = Field(
        "mixed", description="one of 15 corruptions; mixed draws one for each image, by its content"
    )
    severity: int = Field(3, ge=1, le=5, description="how severe the corruption is")
    seed: int = Field(0, ge=0, description="another number draws other random numbers")

    @model_validator(mode="after")
    def _is_a_corruption(self) -> Self:
        check_corruption({"type": self.type, "severity": self.severity, "seed": self.seed})
        return self


@dataclass(frozen=True)
class TransferSource:
    """A source of data.transfer and its own templates; None for data.templates."""

    source: DataSource
    templates: list[str] | str | None = None


def _with_templates(value: object, validate: ValidatorFunctionWrapHandler) -> TransferSource:
    if not (isinstance(value, Mapping) and "templates" in value):
        return TransferSource(validate(value))
    given = value["templates"]
    if not all(isinstance(prompt, str) for prompt in (given if isinstance(given, list) else [given])):
        raise ValueError("must have templates that are text or a list of text")
    return TransferSource(validate({key: of for key, of in value.items() if key != "templates"}), given)


def _stored_transfer(transfer: TransferSource) -> str | dict[str, Any]:
    source = stored(transfer.source)
    if transfer.templates is None or isinstance(source, str):
        return source
    return {**source, "templates": transfer.templates}


def _named(kinds: Kinds[Source]) -> BeforeValidator:
    def named(value: object) -> object:
        if value == {}:
            raise ValueError(
                "must hold at least one test set. Give a source, or a mapping of names to sources."
            )
        return {"id_test": value} if is_source(value, kinds) else value

    return BeforeValidator(named)


# {corrupt: NAME} is only for data.ood; beside another key that selects a kind, `corrupt` is that source's option.
if TYPE_CHECKING:
    TrainSource = str | LabelledSource | StreamSource
    ShiftedSource = str | LabelledSource | CorruptedCopy
    PairTrainSources = list[str | PairSource | StreamSource]
    ShiftedPairSource = str | PairSource | CorruptedCopy
    ShiftedMaskSource = MaskSource | CorruptedCopy
    TransferSources = dict[str, TransferSource]
else:
    TrainSource = source_type([*LABELLED, StreamSource], words="a source")
    ShiftedSource = source_type([*LABELLED, CorruptedCopy], words="a source")
    _PairTrainSource = source_type([*PAIRS, StreamSource], words="a source of pairs")
    # Two members instead of a list that a single source is put into: messages then name the place in the file.
    PairTrainSources = Annotated[
        Annotated[_PairTrainSource, Tag("<one>")]
        | Annotated[list[_PairTrainSource], Field(min_length=1), Tag("<several>")],
        Discriminator(lambda value: "<several>" if isinstance(value, list) else "<one>"),
        AfterValidator(lambda value: value if isinstance(value, list) else [value]),
        PlainSerializer(lambda sources: [stored(source) for source in sources]),
    ]
    ShiftedPairSource = source_type([*PAIRS, CorruptedCopy], words="a source of pairs")
    ShiftedMaskSource = source_type(
        [*MASKS, CorruptedCopy], words="a source of masked images", may_be_path=False
    )
    TransferSources = dict[
        str, Annotated[DataSource, WrapValidator(_with_templates), PlainSerializer(_stored_transfer)]
    ]

_SETS = Accepts("a source, or a mapping of names to sources")
NamedSources = Annotated[dict[str, DataSource], _named([*LABELLED, StreamSource]), _SETS]
NamedPairSources = Annotated[dict[str, PairDataSource], _named([*PAIRS, StreamSource]), _SETS]
NamedMaskSources = Annotated[dict[str, MaskDataSource], _named(MASKS), _SETS]
"""Names and their sources; a single source is named id_test."""
