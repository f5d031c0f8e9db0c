"""The columns of a table of text: CSV, or TSV where the file's name ends in .tsv or .tab."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from radapter.errors import ConfigError, DataError, did_you_mean


def column_names(path: Path) -> list[str]:
    """The names in a table's first line; empty where it has none.

    Raises:
        DataError: the file is missing or no such table.
    """
    return next(_lines(path), [])


def read_table(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Reads columns of a table whose first line names them.

    Args:
        path: UTF-8, with or without a byte order mark.
        columns: those wanted, in the order wanted.

    Returns:
        One list of cells per wanted column.

    Raises:
        ConfigError: the table has no such column.
        DataError: the file is missing, no such table, without rows, or has a row with too few cells.
    """
    lines = list(_lines(path))
    if len(lines) < 2:
        raise DataError(f"table must have a line of column names and a row. '{path}' has {len(lines)} lines.")
    header, *rows = lines
    for column in columns:
        if column not in header:
            raise ConfigError(
                f"column must be one of {', '.join(header)}. '{path}' has no {column!r}."
                f"{did_you_mean(column, header)}"
            )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise DataError(
                f"every row must have {len(header)} cells. Row {number} of '{path}' has {len(row)}: {row}. "
                "Quote cells that hold the delimiter."
            )
    places = [header.index(column) for column in columns]
    return [[row[place] for row in rows] for place in places]


def _lines(path: Path) -> Iterator[list[str]]:
    """The cells of each line that is not empty."""
    delimiter = "\t" if path.suffix.lower() in {".tsv", ".tab"} else ","
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from (line for line in csv.reader(file, delimiter=delimiter, strict=True) if line)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"table must be a UTF-8 CSV or TSV file. '{path}': {error}.") from error
