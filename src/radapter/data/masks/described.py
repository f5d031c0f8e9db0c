"""Masked images that the user describes: a folder of label maps beside one of images, or a parquet file of both."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from radapter.data.labelled.labels import read_classnames
from radapter.data.masks.folders import parquet_masks
from radapter.data.masks.label_values import VOID
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.masks.source import MaskSource
from radapter.data.paths import PATH, PATH_OR_NAME, expanded, place
from radapter.data.source import Reading

_Classes = Annotated[
    list[str] | str, PATH_OR_NAME, Field(description="class names: a list, or a text file with one a line")
]
_Ignore = Annotated[
    int | list[int] | None,
    Field(description=f"the value, or values, of pixels of no class; null is {VOID}"),
]
_ReduceZeroLabel = Annotated[
    bool, Field(description="whether value 0 is of no class and value v is class v - 1")
]
_Exif = Annotated[
    Literal["upright", "stored"],
    Field(description="whether masks lie over the image as it is seen or as the camera stored it"),
]


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
        """The images of the folder that have a mask.

        Raises:
            ConfigError: an option contradicts another.
            DataError: a folder is missing or empty, or an image has no mask or a mask no image.
        """
        return PairedMaskDataset(
            expanded(self.images),
            expanded(self.masks),
            _classnames(self.classes),
            ignore=VOID if self.ignore is None else self.ignore,
            reduce_zero_label=self.reduce_zero_label,
            exif=self.exif,
            max_pixels=reading.max_pixels,
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
        """The rows of the file.

        Raises:
            ConfigError: there is no such column, or an option contradicts another.
            DataError: the file is missing or damaged, or a column holds something else.
        """
        return parquet_masks(
            place(self.parquet),
            classes=_classnames(self.classes),
            image=self.image,
            mask=self.mask,
            ignore=VOID if self.ignore is None else self.ignore,
            reduce_zero_label=self.reduce_zero_label,
            exif=self.exif,
            reading=reading,
        )


def _classnames(classes: list[str] | str) -> tuple[str, ...]:
    return read_classnames(Path(expanded(classes)) if isinstance(classes, str) else classes)
