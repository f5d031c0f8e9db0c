"""Labelled tables: CSV or TSV with image paths, and parquet files, saved data sets and hub data sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from radapter.data.columns import ColumnKeys, HubKeys, ParquetKeys
from radapter.data.images.image_files import files_of_table
from radapter.data.images.sequences import FileImages
from radapter.data.labelled.source import LabelledImages, LabelledSource
from radapter.data.paths import PATH
from radapter.data.source import Reading
from radapter.data.text_tables import SUFFIXES, ListedImages, read_table, refuse_blank
from radapter.data.wording import Accepts
from radapter.errors import ConfigError, DataError, did_you_mean

_Conditions = Annotated[
    dict[str, str | int | list[str | int]], Accepts("a mapping of columns to values or lists of values")
]


class CsvSource(ListedImages, LabelledSource):
    """A table of image paths and labels with a header line; `.tsv` and `.tab` are tab-separated."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    csv: Annotated[str, PATH] = Field(description="the table; paths in it are relative to its folder")
    image: str = Field(default="image", description="column of image paths")
    label: str = Field(default="label", description="column of class names or integers")
    group: str | list[str] | None = Field(
        default=None, description="column or columns whose values form the groups of worst_group"
    )
    where: _Conditions | None = Field(
        default=None, description="columns and the value, or list of values, of the rows to read"
    )

    def read(self, reading: Reading) -> LabelledImages:
        """The rows of the table; raises ConfigError for a wrong column or value, DataError for a wrong row."""
        folder, path = self.listing()
        group_columns = [self.group] if isinstance(self.group, str) else self.group or []
        conditions = {
            column: [str(value) for value in (wanted if isinstance(wanted, list) else [wanted])]
            for column, wanted in (self.where or {}).items()
        }
        names = [self.image, self.label, *group_columns, *conditions]
        table = dict(zip(names, read_table(path, names), strict=True))
        rows = _rows(path, table, conditions)
        paths, labels = ([table[column][row] for row in rows] for column in (self.image, self.label))
        refuse_blank(paths, "an image", path, f"Fill column {self.image!r} or remove them.")
        groups = [", ".join(f"{column}={table[column][row]}" for column in group_columns) for row in rows]
        # "007" is a name: as a number it would lose its zeros.
        are_integers = all(cell.isdecimal() and cell == str(int(cell)) for cell in labels)
        return LabelledImages(
            path.stem,
            FileImages(files_of_table(paths, folder, origin=path), max_pixels=reading.max_pixels),
            [int(cell) for cell in labels] if are_integers else labels,
            None,
            groups=groups if group_columns else None,
        )


class _LabelColumns(ColumnKeys, LabelledSource):
    label: str = Field(default="label", description="column of class names or integers")

    def read(self, reading: Reading) -> LabelledImages:
        """The rows of the table; class names come from the label column if it has them (`ClassLabel`)."""
        import datasets

        table = self.table(reading)
        table.require(self.image, self.label)
        images = table.images(self.image, max_pixels=reading.max_pixels)
        kind = table.table.features[self.label]
        if not str(getattr(kind, "dtype", "")).startswith(("int", "uint", "string", "large_string")):
            raise DataError(
                f"label column must hold class names or integers. '{self.label}' of '{table.name}' holds {kind}."
            )
        classnames = tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None
        return LabelledImages(table.name, images, table.values(self.label), classnames)


class ParquetSource(ParquetKeys, _LabelColumns):
    """Parquet files with an image and a label column, as the hub stores them."""


class HubSource(HubKeys, _LabelColumns):
    """A data set of the Hugging Face Hub, with `allow_download: true`, or a folder that `save_to_disk` wrote."""


def _rows(path: Path, table: Mapping[str, list[str]], conditions: Mapping[str, list[str]]) -> list[int]:
    """The rows that meet all conditions."""
    for column, wanted in conditions.items():
        for value in wanted:
            if value not in table[column]:
                found = sorted(set(table[column]))
                raise ConfigError(
                    f"where must give values of column {column!r}, such as {', '.join(found[:5])}. '{path}' has no "
                    f"{value!r}.{did_you_mean(value, found)}"
                )
    count = len(next(iter(table.values())))
    rows = [
        i for i in range(count) if all(table[column][i] in wanted for column, wanted in conditions.items())
    ]
    if not rows:
        raise ConfigError(f"where must keep a row. It keeps none of the {count} of '{path}'.")
    return rows
