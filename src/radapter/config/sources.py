"""Where images come from, as written in run.yaml: a path, or a mapping whose kind is its telling key.

    data:
      train: path/to/folder                                        # one folder a class; or {stream: shards}
      id_val: {csv: table.csv, image: path, label: species}
      id_test: {parquet: photo.parquet, part: [0.5, 1.0]}
      ood:
        sketch: {hub: user/dataset, split: test, labels: {sneaker: shoe}}
        drawn: {world: sketch, seed: 1}
      transfer:
        pets: {coop: split_zhou_OxfordPets.json, images: images, split: test, templates: "a photo of a {}."}
        renditions: {layout: imagenet-r, path: imagenet-r}

The schema checks shape and types; whether a file exists is the business of `radapter.data`, which opens them.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    WrapValidator,
)

from radapter.config.paths import PATH, PATH_OR_NAME, stored_source

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _interval(value: object) -> object:
    if isinstance(value, (list, tuple)) and len(value) == 2 and not any(isinstance(v, bool) for v in value):
        low, high = value
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and 0 <= low < high <= 1:
            return (float(low), float(high))
    raise ValueError("must be [low, high) with 0 <= low < high <= 1")


def _corruption(value: object) -> object:
    known = {"type": str, "severity": int, "seed": int}
    if isinstance(value, dict) and {"type", "severity"} <= value.keys() <= known.keys():
        typed = all(isinstance(v, known[key]) and not isinstance(v, bool) for key, v in value.items())
        if typed and 1 <= value["severity"] <= 5 and value.get("seed", 0) >= 0:
            return value
    raise ValueError("must be {type: a corruption, severity: 1 to 5, seed: 0}; seed may be left out")


Part = Annotated[tuple[float, float], PlainValidator(_interval)]
Corruption = Annotated[dict[str, str | int], PlainValidator(_corruption)]
CORRUPTED = "one of 15 corruptions, or mixed, which draws one for each image, applied when the image is read"
"""What `corrupt` does to any source."""


class Source(BaseModel):
    """What every mapping may say beside its own keys."""

    model_config = STRICT
    part: Part | None = Field(
        default=None,
        description="keep the items whose content hash, as a fraction of its range, lies in [low, high): a "
        "split that does not move when files are added",
    )
    split_seed: int = Field(default=0, description="another number gives another, independent part")
    shots: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="keep this many images of each class, drawn by their content: fewer are always among more",
    )
    shots_seed: int = Field(default=0, description="another number draws other shots")
    shots_scheme: Literal["content", "coop"] = Field(
        default="content",
        description="content draws by a hash of each image; coop draws as CoOp does with the seed shots_seed, from "
        "its split files alone, and at most 4 images of each class of val",
    )
    half: Literal["base", "novel"] | None = Field(
        default=None,
        description="keep the first half of the source's class list, the larger one, or the rest",
    )
    half_order: Literal["list", "names"] = Field(
        default="list",
        description="what half halves: the class list as it is, as in CoOp, or in alphabetical order, as in "
        "R-Adapter's release",
    )
    labels: dict[str | int, str | None] | None = Field(
        default=None,
        description="source class: training class, many to one, for test sets with other names; null leaves "
        "a class out",
    )
    classes: Annotated[list[str] | str | None, PATH_OR_NAME] = Field(
        default=None, description="the source's class list, a list or a text file: names of integer labels"
    )
    shared: bool = Field(
        default=False,
        description="whether classes that training lacks are left out; otherwise they are an error",
    )
    corrupt: Corruption | None = Field(default=None, description=CORRUPTED)


class FolderSource(Source):
    """A folder with one folder of images for each class."""

    folder: Annotated[str, PATH] = Field(description="the folder")


class CsvSource(Source):
    """A CSV or TSV table of image paths and labels."""

    csv: Annotated[str, PATH] = Field(description="the table; paths in it are relative to its folder")
    image: str = Field(default="image", description="column of image paths")
    label: str = Field(default="label", description="column of class names or integers")
    group: str | list[str] | None = Field(
        default=None, description="column or columns whose values make the groups of worst_group"
    )
    where: dict[str, str | int | list[str | int]] | None = Field(
        default=None, description="columns and the value, or list of values, of the rows to read"
    )
    images: str | None = Field(
        default=None, description="folder, seen from the table's, where relative image paths start"
    )


class ParquetSource(Source):
    """Parquet files with an image and a label column, as the hub stores them."""

    parquet: Annotated[str | list[str], PATH] = Field(description="the file or files")
    image: str = Field(default="image", description="column of images")
    label: str = Field(default="label", description="column of class names or integers")


class HubSource(Source):
    """A data set of the Hugging Face hub, or a local copy of one."""

    hub: Annotated[str, PATH_OR_NAME] = Field(description="the data set's id or folder")
    split: str = Field(default="train", description="its split")
    config: str | None = Field(default=None, description="its configuration, where it has several")
    image: str = Field(default="image", description="column of images")
    label: str = Field(default="label", description="column of class names or integers")


class WorldSource(Source):
    """Scenes of the embedded world, drawn when the run starts."""

    world: str = Field(
        description="the split: train, id_val, id_test, a shift, or one of the tasks colour and pattern"
    )
    seed: int = Field(default=0, ge=0, description="which draw of the split")
    size: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="images; null is the split's own"
    )
    correlation: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="of colour and background with the class, in the splits that have it"
    )
    difficulty: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="of size, place and rotation"
    )


class CoopSource(Source):
    """A split file of CoOp and its pictures."""

    coop: Annotated[str, PATH] = Field(description="the split_zhou JSON file")
    images: Annotated[str, PATH] = Field(description="the folder that its paths start at")
    split: Literal["train", "val", "test"] = Field(default="train", description="which of its splits")


class LayoutSource(Source):
    """A public data set as its authors released it."""

    layout: str = Field(
        description="imagenet, imagenet-v2, imagenet-r, imagenet-a, imagenet-sketch, imagenet-c, objectnet, pacs, "
        "vlcs, office-home, domainnet or domains"
    )
    path: Annotated[str, PATH] = Field(description="its folder")
    split: str | None = Field(default=None, description="imagenet: train or val; domainnet: train or test")
    wnids: Annotated[str | None, PATH] = Field(
        default=None, description="imagenet and its kin: a file of WordNet ids; null is ImageNet's 1,000"
    )
    corruption: str | None = Field(default=None, description="imagenet-c: which corruption")
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(
        default=None, description="imagenet-c: how severe"
    )
    domain: str | None = Field(default=None, description="domain folders: the one to read; null is all")
    leave_out: str | list[str] | None = Field(
        default=None, description="domain folders: the domain, or list of domains, not to read"
    )


class ShardsSource(Source):
    """Tar shards that `radapter shards` wrote, listed when opened."""

    shards: Annotated[str, PATH] = Field(description="the folder, with its sizes.json")


KINDS: dict[str, type[Source]] = {
    "folder": FolderSource,
    "csv": CsvSource,
    "parquet": ParquetSource,
    "hub": HubSource,
    "world": WorldSource,
    "coop": CoopSource,
    "layout": LayoutSource,
    "shards": ShardsSource,
}


class StreamSource(BaseModel):
    """Tar shards that `radapter shards` wrote, read in sequence and never listed: to train on alone."""

    model_config = STRICT
    stream: Annotated[str, PATH] = Field(description="the folder, with its sizes.json")
    buffer: int = Field(
        default=2_000,
        ge=1,
        description="samples among which the next is drawn; each reader holds as many files",
    )
    readers: int = Field(
        default=0,
        ge=0,
        description="processes that read and decode, each its part of the shards; 0 reads in the training process",
    )


TRAIN_KINDS: dict[str, type[BaseModel]] = {**KINDS, "stream": StreamSource}
"""What may be trained on."""


class CorruptedCopy(BaseModel):
    """A corrupted copy of a test set, for data.ood alone: `{corrupt: id_test}`."""

    model_config = STRICT
    corrupt: str = Field(description="the set of data.id_test that is copied; a lone one is called id_test")
    type: str = Field(
        default="mixed", description="one of 15 corruptions; mixed draws one for each image, by its content"
    )
    severity: int = Field(default=3, ge=1, le=5, description="how severe the corruption is")
    seed: int = Field(default=0, ge=0, description="another number draws other random numbers")


COPY: dict[str, type[BaseModel]] = {"corrupt": CorruptedCopy}
"""The kind of source that data.ood alone takes; beside another telling key, `corrupt` is that source's option."""


def copied(spec: object) -> CorruptedCopy | None:
    """The copy that a checked source of data.ood asks for; None where it is a source of its own."""
    if isinstance(spec, dict) and isinstance(spec.get("corrupt"), str):
        return CorruptedCopy.model_validate(spec)
    return None


def is_source(value: object, kinds: Mapping[str, type[BaseModel]] = TRAIN_KINDS) -> bool:
    """Whether `value` is one source, of these kinds, rather than a mapping of names to sources."""
    return isinstance(value, str) or (isinstance(value, dict) and bool(kinds.keys() & value.keys()))


def source_type(kinds: Mapping[str, type[BaseModel]], *, prefix: str = "", may_be_path: bool = True) -> Any:
    """The annotation of a source: a path, or a mapping with exactly one of the telling keys.

    It leaves the schema as the plain str or dict that `radapter.data` opens.

    Args:
        kinds: telling key -> schema of the mapping.
        prefix: of the tags that name a kind in pydantic's locations, such as "<pairs csv>".
        may_be_path: whether a path alone says what it is.
    """

    def kind_of(value: object) -> str | None:
        if isinstance(value, str) and may_be_path:
            return f"<{prefix}path>"
        told = [kind for kind in kinds if kind in value] if isinstance(value, dict) else []
        told = [kind for kind in told if kind not in COPY] or told
        return f"<{prefix}{told[0]}>" if len(told) == 1 else None

    def as_spec(value: object, validate: Any) -> object:
        checked = validate(value)
        if not isinstance(checked, BaseModel):
            return checked
        return {
            key: getattr(checked, key)
            for key in type(checked).model_fields
            if key in checked.model_fields_set
        }

    tagged = [Annotated[schema, Tag(f"<{prefix}{kind}>")] for kind, schema in kinds.items()]
    path = [Annotated[str, Tag(f"<{prefix}path>")]] if may_be_path else []
    return Annotated[
        Union[*path, *tagged],
        Discriminator(
            kind_of,
            custom_error_type="source",
            custom_error_message=f"must be {'a path or ' if may_be_path else ''}a mapping with exactly one of the "
            "keys " + ", ".join(repr(kind) for kind in kinds),
        ),
        WrapValidator(as_spec),
        PlainSerializer(partial(stored_source, kinds=kinds)),
    ]


if TYPE_CHECKING:
    DataSource = str | dict[str, Any]
    ShiftedSource = str | dict[str, Any]
    TrainSource = str | dict[str, Any]
else:
    DataSource = source_type(KINDS)
    ShiftedSource = source_type(KINDS | COPY)
    TrainSource = source_type(TRAIN_KINDS)


def _with_templates(value: object, validate: Any) -> object:
    if not (isinstance(value, dict) and "templates" in value):
        return validate(value)
    given = value["templates"]
    if not all(isinstance(prompt, str) for prompt in (given if isinstance(given, list) else [given])):
        raise ValueError("must have templates that are text or a list of text")
    return {**validate({key: of for key, of in value.items() if key != "templates"}), "templates": given}


TransferSources = dict[str, Annotated[DataSource, WrapValidator(_with_templates)]]
"""Sources that may also say their `templates`, since their classes are their own."""


def _named(value: object) -> object:
    return {"id_test": value} if is_source(value) else value


NamedSources = Annotated[dict[str, DataSource], BeforeValidator(_named)]
