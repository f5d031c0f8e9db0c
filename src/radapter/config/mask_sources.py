"""Where masked images and regions come from, as written in run.yaml: a mapping whose kind is its telling key.

    data:
      train: {mine: {csv: captions.csv}, to: mined}           # or {mined: FOLDER}, or {from_masks: MASKED IMAGES}
      id_val: {layout: ade20k-150, path: ADEChallengeData2016, split: val}
      id_test: {masks: annotations, images: images, classes: names.txt}
      ood:
        drawn: {world: scenes, styles: sketch, background: false}

The schema checks shape and types; whether a file exists is the business of `radapter.data`, which opens them.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from radapter.config.pair_sources import PairDataSource
from radapter.config.paths import PATH, PATH_OR_NAME, PATHS_OR_NAMES
from radapter.config.sources import COPY, CORRUPTED, STRICT, Corruption, Part, is_source, source_type


class MaskSource(BaseModel):
    """What every mapping of masked images may say beside its own keys."""

    model_config = STRICT
    only: list[str] | None = Field(
        default=None, description="keep the images that show one of these classes and no other"
    )
    without: list[str] | None = Field(
        default=None, description="leave out the images that show one of these classes"
    )
    part: Part | None = Field(
        default=None,
        description="keep the images whose content hash, as a fraction of its range, lies in [low, high): a "
        "split that does not move when files are added",
    )
    split_seed: int = Field(default=0, description="another number gives another, independent part")
    grayscale: bool = Field(default=False, description="whether the colour is taken out of every image")
    corrupt: Corruption | None = Field(
        default=None,
        description=f"{CORRUPTED}; masks stay",
    )


class MaskFolderSource(MaskSource):
    """A folder of label maps and one of images."""

    masks: Annotated[str, PATH] = Field(description="the folder of label maps, one number a pixel")
    images: Annotated[str, PATH] = Field(
        description="the folder of images, named as the masks but for the suffix"
    )
    classes: Annotated[list[str] | str, PATH_OR_NAME] = Field(
        description="class names: a list, or a text file with one a line"
    )
    ignore: int | list[int] | None = Field(
        default=None, description="the value, or values, of pixels of no class; null is 255"
    )
    reduce_zero_label: bool = Field(
        default=False, description="whether value 0 is of no class and value v is class v - 1"
    )
    exif: Literal["upright", "stored"] = Field(
        default="upright",
        description="whether masks lie over the image as it is seen or as the camera stored it",
    )


class MaskParquetSource(MaskSource):
    """A parquet file with an image and a mask column."""

    parquet: Annotated[str, PATH] = Field(description="the file")
    image: str = Field(default="image", description="column of images")
    mask: str = Field(default="mask", description="column of label maps")
    classes: Annotated[list[str] | str, PATH_OR_NAME] = Field(
        description="class names: a list, or a text file with one a line"
    )
    ignore: int | list[int] | None = Field(
        default=None, description="the value, or values, of pixels of no class; null is 255"
    )
    reduce_zero_label: bool = Field(
        default=False, description="whether value 0 is of no class and value v is class v - 1"
    )
    exif: Literal["upright", "stored"] = Field(
        default="upright",
        description="whether masks lie over the image as it is seen or as the camera stored it",
    )


class MaskLayoutSource(MaskSource):
    """A public data set as its authors, or the usual converters, lay it out."""

    layout: str = Field(description="its name; docs/data.md lists them")
    path: Annotated[str, PATH] = Field(description="its folder")
    split: str | None = Field(default=None, description="which of its splits; null is val or test")
    classes: Annotated[str | None, PATH_OR_NAME] = Field(
        default=None, description="a text file of class names, where the layout has none of its own"
    )


class MaskWorldSource(MaskSource):
    """Scenes of the embedded world with the class of every pixel."""

    world: str = Field(description="the split: scenes holds all styles and often two objects")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="which draw of the split")
    size: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="images; null is the split's own"
    )
    styles: str | list[str] | None = Field(
        default=None, description="of scenes only those in this style, or in one of these; null is all"
    )
    background: bool = Field(
        default=True, description="whether what is no object is a class, the first; false ignores it"
    )


MASK_KINDS: dict[str, type[MaskSource]] = {
    "masks": MaskFolderSource,
    "parquet": MaskParquetSource,
    "layout": MaskLayoutSource,
    "world": MaskWorldSource,
}

if TYPE_CHECKING:
    MaskDataSource = dict[str, Any]
    ShiftedMaskSource = dict[str, Any]
else:
    MaskDataSource = source_type(MASK_KINDS, prefix="masks ", may_be_path=False)
    ShiftedMaskSource = source_type(MASK_KINDS | COPY, prefix="masks ", may_be_path=False)


class RegionSource(BaseModel):
    """Regions with a noun each."""

    model_config = STRICT


class MinedSource(RegionSource):
    """What `radapter mine` wrote."""

    mined: Annotated[str, PATH] = Field(description="the folder of shards")


class MineSource(RegionSource):
    """Image-text pairs that regions are mined from before training, with the run's model as it came."""

    mine: PairDataSource = Field(description="the source, as for retrieval")
    to: Annotated[str, PATH] = Field(
        description="folder of the shards, new or of the same mining, which is then continued or read"
    )
    nouns: Annotated[list[str], PATHS_OR_NAMES] = Field(
        default=["built-in"], min_length=1, description="lists of nouns to look for: built-in, or text files"
    )
    floor: Literal["auto"] | float = Field(
        default="auto",
        description="cosine of region and noun that a region must reach; auto is what the better half reaches",
    )
    margin: Literal["auto"] | float = Field(
        default="auto",
        description="how far the region must lead over the second; auto is what the better half reaches",
    )
    min_area: float = Field(
        default=0.05, ge=0, lt=1, description="share of the image that a region must have"
    )


class FromMasksSource(RegionSource):
    """The true regions of masked images, one for each class that an image shows."""

    from_masks: MaskDataSource = Field(description="the masked images, as for data.id_test")
    min_pixels: int = Field(default=16, ge=1, description="smaller regions are left out")


REGION_KINDS: dict[str, type[RegionSource]] = {
    "mined": MinedSource,
    "mine": MineSource,
    "from_masks": FromMasksSource,
}

if TYPE_CHECKING:
    RegionDataSource = dict[str, Any]
else:
    RegionDataSource = source_type(REGION_KINDS, prefix="regions ", may_be_path=False)


def _named(value: object) -> object:
    return {"id_test": value} if is_source(value, MASK_KINDS) else value


NamedMaskSources = Annotated[dict[str, MaskDataSource], BeforeValidator(_named)]
"""Names and their sources; a lone source is named id_test."""
