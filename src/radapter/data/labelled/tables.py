"""Labelled tables: CSV or TSV with image paths, and parquet files, saved data sets and hub data sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from radapter.data.columns import ColumnKeys, HubKeys, ParquetKeys
from radapter.data.labelled.source import LabelledPictures, LabelledSource
from radapter.data.paths import PATH
from radapter.data.pictures.image_files import files_of_table
from radapter.data.pictures.pictures import FilePictures
from radapter.data.source import Reading
from radapter.data.text_tables import SUFFIXES, ListedImages, read_table, refuse_blank
from radapter.data.wording import Accepts
from radapter.errors import ConfigError, DataError, did_you_mean


class CsvSource(ListedImages, LabelledSource):
    """A table of image paths and labels with a header line; `.tsv` and `.tab` are tab-separated."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    csv: Annotated[str, PATH] = Field(description="the table; paths in it are relative to its folder")
    image: str = Field(default="image", description="column of image paths")
    label: str = Field(default="label", description="column of class names or integers")
    group: str | list[str] | None = Field(
        default=None, description="column or columns whose values form the groups of worst_group"
    )
    where: (
        Annotated[
            dict[str, str | int | list[str | int]],
            Accepts("a mapping of columns to values or lists of values"),
        ]
        | None
    ) = Field(default=None, description="columns and the value, or list of values, of the rows to read")

    def read(self, reading: Reading) -> LabelledPictures:
        """The rows of the table; raises ConfigError for a wrong column or value, DataError for a wrong row."""
        folder, path = self.listing()
        group_columns = [self.group] if isinstance(self.group, str) else self.group or []
        conditions = {
            column: [str(value) for value in (wanted if isinstance(wanted, list) else [wanted])]
            for column, wanted in (self.where or {}).items()
        }
        columns = read_table(path, [self.image, self.label, *group_columns, *conditions])
        paths, labels, *rest = _selected(path, columns, conditions)
        refuse_blank(paths, "an image", path, f"Fill column {self.image!r} or remove them.")
        groups = [
            ", ".join(f"{column}={cell}" for column, cell in zip(group_columns, cells, strict=True))
            for cells in zip(*rest, strict=True)
        ]
        # "007" is a name: as a number it would lose its zeros.
        are_integers = all(cell.isdecimal() and cell == str(int(cell)) for cell in labels)
        return LabelledPictures(
            path.stem,
            FilePictures(files_of_table(paths, folder, origin=path), max_pixels=reading.max_pixels),
            [int(cell) for cell in labels] if are_integers else labels,
            None,
            groups=groups or None,
        )


class _LabelColumns(ColumnKeys, LabelledSource):
    label: str = Field(default="label", description="column of class names or integers")

    def read(self, reading: Reading) -> LabelledPictures:
        """The rows of the table; class names come from the label column if it has them (`ClassLabel`)."""
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


def _selected(path: Path, columns: list[list[str]], conditions: Mapping[str, list[str]]) -> list[list[str]]:
    """The rows that meet all conditions, without the columns of the conditions, which are the last."""
    kept, tested = columns[: len(columns) - len(conditions)], columns[len(columns) - len(conditions) :]
    for cells, (column, wanted) in zip(tested, conditions.items(), strict=True):
        absent = [value for value in wanted if value not in cells]
        if absent:
            found = sorted(set(cells))
            raise ConfigError(
                f"where must give values of column {column!r}, such as {', '.join(found[:5])}. '{path}' has no "
                f"{absent[0]!r}.{did_you_mean(absent[0], found)}"
            )
    rows = [
        row
        for row in range(len(columns[0]))
        if all(cells[row] in wanted for cells, wanted in zip(tested, conditions.values(), strict=True))
    ]
    if not rows:
        raise ConfigError(f"where must keep a row. It keeps none of the {len(columns[0])} of '{path}'.")
    return [[cells[row] for row in rows] for cells in kept]
