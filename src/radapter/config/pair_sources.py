"""Where image-text pairs come from, as written in run.yaml: a path, or a mapping whose kind is its telling key.

    data:
      train: {karpathy: dataset_coco.json, images: coco, captions_per_image: 5}
      id_val: {karpathy: dataset_coco.json, images: coco, split: val}
      id_test: captions.csv
      ood:
        flickr: {clip_benchmark: wds_flickr30k, split: test}
        grey: {parquet: test.parquet, grayscale: true}

The schema checks shape and types; whether a file exists is the business of `radapter.data`, which opens them.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
)

from radapter.config.paths import PATH, PATH_OR_NAME, stored_source
from radapter.config.sources import (
    COPY,
    CORRUPTED,
    STRICT,
    Corruption,
    DataSource,
    Part,
    StreamSource,
    is_source,
    source_type,
)


class PairSource(BaseModel):
    """What every mapping may say beside its own keys."""

    model_config = STRICT
    captions_per_image: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="keep the first captions of each image, this many; null keeps all"
    )
    part: Part | None = Field(
        default=None,
        description="keep the images whose content hash, as a fraction of its range, lies in [low, high): a "
        "split that does not move when files are added",
    )
    split_seed: int = Field(default=0, description="another number gives another, independent part")
    paraphrase: bool = Field(
        default=False, description="whether every caption is said in other words, by a fixed table"
    )
    grayscale: bool = Field(default=False, description="whether the colour is taken out of every image")
    corrupt: Corruption | None = Field(default=None, description=CORRUPTED)


class PairCsvSource(PairSource):
    """A CSV or TSV table with a caption a row."""

    csv: Annotated[str, PATH] = Field(description="the table; paths in it are relative to its folder")
    image: str = Field(default="image", description="column of image paths")
    caption: str = Field(default="caption", description="column of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes the image the group")
    images: str | None = Field(
        default=None, description="folder, seen from the table's, where relative image paths start"
    )


class PairJsonlSource(PairSource):
    """A JSON Lines file with an image and its captions a line."""

    jsonl: Annotated[str, PATH] = Field(description="the file; paths in it are relative to its folder")
    image: str = Field(default="image", description="key of the image's path")
    captions: str = Field(default="captions", description="key of the caption or list of captions")
    group: str | None = Field(default=None, description="key of the group id; null makes the image the group")
    images: str | None = Field(
        default=None, description="folder, seen from the file's, where relative image paths start"
    )


class PairParquetSource(PairSource):
    """Parquet files with an image and a caption column, as the hub stores them."""

    parquet: Annotated[str | list[str], PATH] = Field(description="the file or files")
    image: str = Field(default="image", description="column of images")
    captions: str = Field(default="captions", description="column of captions or lists of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes each row a group")


class PairHubSource(PairSource):
    """A data set of the Hugging Face hub, or a local copy of one."""

    hub: Annotated[str, PATH_OR_NAME] = Field(description="the data set's id or folder")
    split: str = Field(default="train", description="its split")
    config: str | None = Field(default=None, description="its configuration, where it has several")
    image: str = Field(default="image", description="column of images")
    captions: str = Field(default="captions", description="column of captions or lists of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes each row a group")


class KarpathySource(PairSource):
    """A split file of Karpathy and its images."""

    karpathy: Annotated[str, PATH] = Field(
        description="dataset_coco.json, dataset_flickr30k.json or dataset_flickr8k.json"
    )
    images: Annotated[str, PATH] = Field(description="the folder that its paths start at")
    split: Literal["train", "val", "test"] = Field(
        default="train", description="which of its splits; restval joins train"
    )


class Flickr8kSource(PairSource):
    """A token file of Flickr8k or Flickr30k and its images."""

    flickr8k: Annotated[str, PATH] = Field(description="Flickr8k.token.txt, or another file of its form")
    images: Annotated[str, PATH] = Field(description="the folder of the images")
    split_list: Annotated[str | None, PATH] = Field(
        default=None,
        description="a file with an image name a line, such as Flickr_8k.testImages.txt; null is all",
    )


class ClipBenchmarkSource(PairSource):
    """Tar shards of CLIP_benchmark."""

    clip_benchmark: Annotated[str, PATH] = Field(
        description="the folder that holds a folder of shards for each split"
    )
    split: str = Field(default="test", description="which of its splits")


class WebdatasetSource(PairSource):
    """Tar shards of webdataset."""

    webdataset: Annotated[str | list[str], PATH] = Field(
        description="the tar or tars; `*` may stand in a name"
    )
    captions: str | None = Field(
        default=None, description="key of the captions in key.json; null is captions or caption"
    )
    group: str | None = Field(
        default=None, description="key of the group id in key.json; null is group where it is there"
    )


class PairWorldSource(PairSource):
    """Captioned scenes of the embedded world."""

    world: str = Field(description="the split: scenes holds all styles and often two objects")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="which draw of the split")
    size: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="images; null is the split's own"
    )
    styles: str | list[str] | None = Field(
        default=None, description="of scenes only those in this style, or in one of these; null is all"
    )
    wording: Literal["clean", "full", "web"] = Field(
        default="clean",
        description="clean names parts of a scene at random, full all that can be seen, web errs as the web does",
    )


class ClassNameSource(PairSource):
    """A classification source: the caption is the class name in a template."""

    classification: DataSource = Field(description="the source, as for classification")
    templates: list[str] | str = Field(
        default="a photo of a {}.", description="one template, a list, or what data.templates takes"
    )


PAIR_KINDS: dict[str, type[PairSource]] = {
    "csv": PairCsvSource,
    "jsonl": PairJsonlSource,
    "parquet": PairParquetSource,
    "hub": PairHubSource,
    "karpathy": KarpathySource,
    "flickr8k": Flickr8kSource,
    "clip_benchmark": ClipBenchmarkSource,
    "webdataset": WebdatasetSource,
    "world": PairWorldSource,
    "classification": ClassNameSource,
}


PAIR_TRAIN_KINDS: dict[str, type[BaseModel]] = {**PAIR_KINDS, "stream": StreamSource}
"""What may be trained on."""


if TYPE_CHECKING:
    PairDataSource = str | dict[str, Any]
    ShiftedPairSource = str | dict[str, Any]
    PairTrainSource = str | dict[str, Any]
else:
    PairDataSource = source_type(PAIR_KINDS, prefix="pairs ")
    ShiftedPairSource = source_type(PAIR_KINDS | COPY, prefix="pairs ")
    PairTrainSource = source_type(PAIR_TRAIN_KINDS, prefix="pairs ")


def _count(value: object) -> str:
    return "<several>" if isinstance(value, list) else "<one>"


def _listed(value: str | dict[str, Any] | list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
    return value if isinstance(value, list) else [value]


if TYPE_CHECKING:
    PairDataSources = list[str | dict[str, Any]]
else:
    # Two members in place of a list that one source is put into: a place in a message is then what the user wrote.
    PairDataSources = Annotated[
        Annotated[PairTrainSource, Tag("<one>")]
        | Annotated[list[PairTrainSource], Field(min_length=1), Tag("<several>")],
        Discriminator(_count),
        AfterValidator(_listed),
        PlainSerializer(lambda specs: [stored_source(spec, PAIR_TRAIN_KINDS) for spec in specs]),
    ]
"""One source, or a list of sources that are trained on together; it leaves the schema as a list."""


def _named(value: object) -> object:
    return {"id_test": value} if is_source(value, PAIR_TRAIN_KINDS) else value


NamedPairSources = Annotated[dict[str, PairDataSource], BeforeValidator(_named)]
"""Names and their sources; a lone source is named id_test."""
