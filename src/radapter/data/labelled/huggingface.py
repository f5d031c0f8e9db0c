"""Labelled parquet files, saved data sets and hub data sets, through Hugging Face `datasets`.

Class names come from the label column if it has them (`ClassLabel`).
"""

from pydantic import Field

from radapter.data.columns import ColumnKeys, HubKeys, ParquetKeys
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.labelled.source import LabelledSource
from radapter.data.source import Reading
from radapter.errors import DataError


class _LabelColumns(ColumnKeys, LabelledSource):
    label: str = Field(default="label", description="column of class names or integers")

    def read(self, reading: Reading) -> LabelledPictures:
        """The rows of the table.

        Raises:
            ConfigError: there is no such split or column.
            DataError: as `table`, or a column holds something else.
        """
        import datasets

        table = self.table(reading)
        table.require(self.image, self.label)
        pictures = table.pictures(self.image, max_pixels=reading.max_pixels)
        kind = table.table.features[self.label]
        if not str(getattr(kind, "dtype", "")).startswith(("int", "uint", "string", "large_string")):
            raise DataError(
                f"label column must hold class names or integers. '{self.label}' of '{table.name}' holds {kind}."
            )
        classnames = tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None
        return LabelledPictures(table.name, pictures, table.values(self.label), classnames)


class ParquetSource(ParquetKeys, _LabelColumns):
    """Parquet files with an image and a label column, as the hub stores them."""


class HubSource(HubKeys, _LabelColumns):
    """A data set of the Hugging Face hub, with `allow_download: true`, or a folder that `save_to_disk` wrote."""
