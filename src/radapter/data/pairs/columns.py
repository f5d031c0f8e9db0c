"""Captioned parquet files, saved data sets and hub data sets: one image a row, with its caption or captions."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from radapter.data.columns import SUFFIXES, ColumnTable, hub_table, is_saved, parquet_table
from radapter.data.pairs.captioned import CaptionedPictures, group_id, texts_of
from radapter.data.pairs.source import PairSource
from radapter.data.paths import PATH_OR_NAME, Files, expanded, expanded_files
from radapter.data.source import Reading


class PairParquetSource(PairSource):
    """Parquet files with an image and a caption column, as the hub stores them; a row is an image."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    parquet: Files = Field(description="the file or files; `*` may stand in a name")
    image: str = Field(default="image", description="column of images")
    captions: str = Field(default="captions", description="column of captions or lists of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes each row a group")

    def read(self, reading: Reading) -> CaptionedPictures:
        """The rows of the files.

        Raises:
            ConfigError: there is no such column.
            DataError: a file is missing or damaged, or a column holds something else.
        """
        table = parquet_table(expanded_files(self.parquet))
        return _source(table, self.image, self.captions, self.group, reading)


class PairHubSource(PairSource):
    """A data set of the Hugging Face hub, with `allow_download: true`, or a folder that `save_to_disk` wrote.

    A row is an image.
    """

    hub: Annotated[str, PATH_OR_NAME] = Field(description="the data set's id or folder")
    split: str = Field(default="train", description="its split")
    config: str | None = Field(default=None, description="its configuration, where it has several")
    image: str = Field(default="image", description="column of images")
    captions: str = Field(default="captions", description="column of captions or lists of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes each row a group")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether `save_to_disk` wrote the folder."""
        return is_saved(path)

    def read(self, reading: Reading) -> CaptionedPictures:
        """The rows of the split.

        Raises:
            ConfigError: there is no such split or column.
            DataError: the folder is no saved data set, or the hub is needed and not allowed, or fails.
        """
        table = hub_table(
            expanded(self.hub), split=self.split, config=self.config, allow_download=reading.allow_download
        )
        return _source(table, self.image, self.captions, self.group, reading)


def _source(
    table: ColumnTable, image: str, captions: str, group: str | None, reading: Reading
) -> CaptionedPictures:
    table.require(image, captions, *([] if group is None else [group]))
    pictures = table.pictures(image, max_pixels=reading.max_pixels)
    texts = [texts_of(value, pictures.where(row)) for row, value in enumerate(table.values(captions))]
    groups = None
    if group is not None:
        groups = [group_id(value, pictures.where(row)) for row, value in enumerate(table.values(group))]
    return CaptionedPictures(table.name, pictures, texts, groups)
