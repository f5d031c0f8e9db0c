"""Labelled parquet files, saved data sets and hub data sets, through Hugging Face `datasets`.

Class names come from the label column where it has them (`ClassLabel`).
"""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from radapter.data.columns import SUFFIXES, ColumnTable, hub_table, is_saved, parquet_table
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.labelled.source import LabelledSource
from radapter.data.paths import PATH_OR_NAME, Files, expanded, expanded_files
from radapter.data.source import Reading
from radapter.errors import DataError


class ParquetSource(LabelledSource):
    """Parquet files with an image and a label column, as the hub stores them."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    parquet: Files = Field(description="the file or files; `*` may stand in a name")
    image: str = Field(default="image", description="column of images")
    label: str = Field(default="label", description="column of class names or integers")

    def read(self, reading: Reading) -> LabelledPictures:
        """The rows of the files.

        Raises:
            ConfigError: there is no such column.
            DataError: a file is missing or damaged, or a column holds something else.
        """
        return _source(parquet_table(expanded_files(self.parquet)), self.image, self.label, reading)


class HubSource(LabelledSource):
    """A data set of the Hugging Face hub, with `allow_download: true`, or a folder that `save_to_disk` wrote."""

    hub: Annotated[str, PATH_OR_NAME] = Field(description="the data set's id or folder")
    split: str = Field(default="train", description="its split")
    config: str | None = Field(default=None, description="its configuration, where it has several")
    image: str = Field(default="image", description="column of images")
    label: str = Field(default="label", description="column of class names or integers")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether `save_to_disk` wrote the folder."""
        return is_saved(path)

    def read(self, reading: Reading) -> LabelledPictures:
        """The rows of the split.

        Raises:
            ConfigError: there is no such split or column.
            DataError: the folder is no saved data set, or the hub is needed and not allowed, or fails.
        """
        table = hub_table(
            expanded(self.hub), split=self.split, config=self.config, allow_download=reading.allow_download
        )
        return _source(table, self.image, self.label, reading)


def _source(table: ColumnTable, image: str, label: str, reading: Reading) -> LabelledPictures:
    import datasets

    table.require(image, label)
    pictures = table.pictures(image, max_pixels=reading.max_pixels)
    kind = table.table.features[label]
    classnames = tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None
    if not str(getattr(kind, "dtype", "")).startswith(("int", "uint", "string", "large_string")):
        raise DataError(
            f"label column must hold class names or integers. '{label}' of '{table.name}' holds {kind}."
        )
    return LabelledPictures(table.name, pictures, table.values(label), classnames)
