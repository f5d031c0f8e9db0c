"""Captioned parquet files, saved data sets and hub data sets: one image per row, with its caption or captions."""

from pydantic import Field

from radapter.data.columns import ColumnKeys, HubKeys, ParquetKeys
from radapter.data.pairs.captioned import CaptionedPictures, group_id, texts_of
from radapter.data.pairs.source import PairSource
from radapter.data.source import Reading


class _CaptionColumns(ColumnKeys, PairSource):
    captions: str = Field(default="captions", description="column of captions or lists of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes each row a group")

    def read(self, reading: Reading) -> CaptionedPictures:
        """The rows of the table.

        Raises:
            ConfigError: there is no such split or column.
            DataError: as `table`, or a column holds something else.
        """
        table = self.table(reading)
        table.require(self.image, self.captions, *([] if self.group is None else [self.group]))
        pictures = table.pictures(self.image, max_pixels=reading.max_pixels)
        texts = [
            texts_of(value, pictures.where(row)) for row, value in enumerate(table.values(self.captions))
        ]
        groups = None
        if self.group is not None:
            groups = [
                group_id(value, pictures.where(row)) for row, value in enumerate(table.values(self.group))
            ]
        return CaptionedPictures(table.name, pictures, texts, groups)


class PairParquetSource(ParquetKeys, _CaptionColumns):
    """Parquet files with an image and a caption column, as the hub stores them; a row is an image."""


class PairHubSource(HubKeys, _CaptionColumns):
    """A data set of the Hugging Face hub, with `allow_download: true`, or a folder that `save_to_disk` wrote.

    A row is an image.
    """
