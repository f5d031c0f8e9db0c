"""Sources of masked images: what every kind takes, and two kinds that the user describes."""

from abc import abstractmethod
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from radapter.data.columns import parquet_table
from radapter.data.labelled.labels import read_classnames
from radapter.data.masks.label_maps import VOID, EncodedMaps
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.paths import PATH, PATH_OR_NAME, expanded, place
from radapter.data.source import CORRUPTED, IN_PART, OTHER_PART, Corruption, Part, Reading, Source

_Classes = Annotated[
    list[str] | str, PATH_OR_NAME, Field(description="class names: a list, or a text file with one a line")
]
_Ignore = Annotated[
    int | list[int] | None, Field(description=f"the value, or values, of pixels of no class; null is {VOID}")
]
_ReduceZeroLabel = Annotated[
    bool, Field(description="whether value 0 is of no class and value v is class v - 1")
]
_Exif = Annotated[
    Literal["upright", "stored"],
    Field(description="whether masks lie over the image as it is seen or as the camera stored it"),
]


class MaskSource(Source):
    """A kind of source of masked images."""

    only: list[str] | None = Field(
        default=None, description="keep the images that show one of these classes and no other"
    )
    without: list[str] | None = Field(
        default=None, description="leave out the images that show one of these classes"
    )
    part: Part | None = Field(default=None, description=IN_PART)
    split_seed: int = Field(default=0, description=OTHER_PART)
    grayscale: bool = Field(default=False, description="whether the colour is taken out of every image")
    corrupt: Corruption | None = Field(default=None, description=f"{CORRUPTED}; masks stay")

    @abstractmethod
    def read(self, reading: Reading) -> PairedMaskDataset:
        """Lists the images and their masks without decoding them.

        Raises:
            ConfigError: A key does not fit the source, or an option contradicts another.
            DataError: The source is missing, empty, damaged or of another kind, or images and masks do not pair.
        """


class MaskFolderSource(MaskSource):
    """A folder of label maps beside one of images."""

    masks: Annotated[str, PATH] = Field(description="the folder of label maps, one number a pixel")
    images: Annotated[str, PATH] = Field(
        description="the folder of images, named as the masks but for the suffix"
    )
    classes: _Classes
    ignore: _Ignore = None
    reduce_zero_label: _ReduceZeroLabel = False
    exif: _Exif = "upright"

    def read(self, reading: Reading) -> PairedMaskDataset:
        """The images of the folder and their masks."""
        return PairedMaskDataset(
            expanded(self.images), expanded(self.masks), max_pixels=reading.max_pixels, **_meaning(self)
        )


class MaskParquetSource(MaskSource):
    """A parquet file with a column of images and one of label maps."""

    parquet: Annotated[str, PATH] = Field(description="the file")
    image: str = Field(default="image", description="column of images")
    mask: str = Field(default="mask", description="column of label maps")
    classes: _Classes
    ignore: _Ignore = None
    reduce_zero_label: _ReduceZeroLabel = False
    exif: _Exif = "upright"

    def read(self, reading: Reading) -> PairedMaskDataset:
        """The rows of the file."""
        return parquet_masks(
            place(self.parquet), image=self.image, mask=self.mask, reading=reading, **_meaning(self)
        )


def _meaning(source: MaskFolderSource | MaskParquetSource) -> dict[str, Any]:
    listed = source.classes
    return {
        "classes": read_classnames(Path(expanded(listed)) if isinstance(listed, str) else listed),
        "ignore": VOID if source.ignore is None else source.ignore,
        "reduce_zero_label": source.reduce_zero_label,
        "exif": source.exif,
    }


def parquet_masks(
    path: Path,
    *,
    image: str = "image",
    mask: str = "mask",
    name: str | None = None,
    reading: Reading,
    **meaning: Any,
) -> PairedMaskDataset:
    """A parquet file with a column of images and one of label maps; an image's id is its stored file name.

    `meaning` is classes, ignore, reduce_zero_label, values and exif of `PairedMaskDataset`.

    Raises:
        ConfigError: There is no such column.
        DataError: The file is missing or damaged, or a column holds something else.
    """
    table = parquet_table([str(path)])
    table.require(image, mask)
    images, masks = (table.images(column, max_pixels=reading.max_pixels) for column in (image, mask))
    stems = [PurePosixPath(path).stem for path in table.paths(image) if path]
    return PairedMaskDataset(
        images,
        EncodedMaps(masks),
        ids=stems if len(set(stems)) == len(images) else None,
        name=table.name if name is None else name,
        **meaning,
    )
