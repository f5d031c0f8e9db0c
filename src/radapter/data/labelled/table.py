"""Tables of image paths and labels, CSV or TSV. The user names the columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from radapter.data.labelled.labels import Source
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.pictures.image_files import files_of_table
from radapter.data.pictures.pictures import FilePictures
from radapter.data.text_tables import read_table
from radapter.errors import ConfigError, DataError, did_you_mean


def read_labelled_table(
    path: Path,
    *,
    image: str,
    label: str,
    group: str | Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
    images: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Source:
    """A table of image paths and labels, such as the metadata.csv of a WILDS data set.

    Args:
        path: the table.
        image: column of paths.
        label: column of class names, or of integers.
        group: column, or columns, whose values make the groups; None makes none.
        where: column -> the value, or list of values, of the rows to read; None reads all.
        images: folder, seen from the table's, where relative paths start; None is the table's own.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: the table has no such column, or no row has such a value.
        DataError: as `read_table`, or a row names no image, or by a relative path one outside the folder.
    """
    group_columns = [group] if isinstance(group, str) else list(group or ())
    conditions = {column: _as_cells(wanted) for column, wanted in (where or {}).items()}
    columns = read_table(path, [image, label, *group_columns, *conditions])
    paths, labels, *rest = _selected(path, columns, conditions)
    blank = [number for number, cell in enumerate(paths, start=1) if not cell.strip()]
    if blank:
        raise DataError(
            f"every row must name an image. In '{path}' {len(blank)} of {len(paths)} do not, first rows "
            f"{', '.join(map(str, blank[:3]))}. Fill column {image!r} or remove them."
        )
    files = files_of_table(paths, path.parent / (images or ""), origin=path)
    groups = [
        ", ".join(f"{column}={cell}" for column, cell in zip(group_columns, cells, strict=True))
        for cells in zip(*rest, strict=True)
    ]
    # "007" is a name: as a number it would lose its zeros.
    are_integers = all(cell.isdecimal() and cell == str(int(cell)) for cell in labels)
    return Source(
        path.stem,
        FilePictures(files, max_pixels=max_pixels),
        [int(cell) for cell in labels] if are_integers else labels,
        None,
        groups=groups or None,
    )


def _selected(path: Path, columns: list[list[str]], conditions: Mapping[str, list[str]]) -> list[list[str]]:
    """The columns but those of the conditions, and of them the rows that meet every condition."""
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
        raise ConfigError(f"where must keep a row. Of the {len(columns[0])} of '{path}' it keeps none.")
    return [[cells[row] for row in rows] for cells in kept]


def _as_cells(wanted: object) -> list[str]:
    return [str(value) for value in wanted] if isinstance(wanted, (list, tuple)) else [str(wanted)]
