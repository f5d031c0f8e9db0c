"""The columns of a table of text: CSV, or TSV where the file's name ends in .tsv or .tab.

A CSV file whose first line has no comma is separated by what that line has: a semicolon, as spreadsheets write where
the comma is the decimal sign, a tab, or a bar.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import text_lines

SUFFIXES = (".csv", ".tsv", ".tab")
"""Of the names of tables; the last two are separated by tabs."""
_SEPARATORS = (",", ";", "\t", "|")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def column_names(path: Path) -> list[str]:
    """The names in a table's first line, without blanks around them; empty where it has none.

    Raises:
        DataError: the file is missing or no such table.
    """
    return next(_lines(path), [])


def separator_of(path: Path) -> str:
    """The character between the cells of a table.

    Raises:
        DataError: the file is missing or not UTF-8.
    """
    if path.suffix.lower() in SUFFIXES[1:]:
        return "\t"
    try:
        first = next(text_lines(path), "")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return next((separator for separator in _SEPARATORS if separator in first), ",")


def read_table(path: Path, columns: Sequence[str], *, beside: str = "label") -> list[list[str]]:
    """Reads columns of a table whose first line names them.

    Args:
        path: UTF-8, with or without a byte order mark.
        columns: those wanted, in the order wanted.
        beside: the key of a source that names the second column; the error message uses it.

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
                f"{did_you_mean(column, header)} Name its columns in the source: {{csv: {path}, image: COLUMN, "
                f"{beside}: COLUMN}}."
            )
    wrong = [(number, row) for number, row in enumerate(rows, start=1) if len(row) != len(header)]
    if wrong:
        number, row = wrong[0]
        raise DataError(
            f"every row must have {len(header)} cells. In '{path}' {len(wrong)} of {len(rows)} have not. Row "
            f"{number} has {len(row)}: {row}. Quote cells that hold the separator."
        )
    places = [header.index(column) for column in columns]
    return [[row[place] for row in rows] for place in places]


def _lines(path: Path) -> Iterator[list[str]]:
    """The cells of each line that is not empty; those of the first line without blanks around them."""
    separator = separator_of(path)
    row = 0
    try:
        for line in csv.reader(text_lines(path), delimiter=separator, strict=True):
            if line:
                yield line if row else [name.strip() for name in line]
                row += 1
    except csv.Error as error:
        place = f"row {row}" if row else "the line of column names"
        raise DataError(
            f"table must be a UTF-8 CSV or TSV file. '{path}', {place}: {error}. Correct it, or shorten its cells "
            f"to {csv.field_size_limit():,} characters."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> DataError:
    if not isinstance(error, UnicodeDecodeError):
        return DataError(f"table must exist and be readable. '{path}': {error.strerror}. Check the path.")
    with path.open("rb") as file:
        encoding = "UTF-16" if file.read(2) in _UTF_16 else "WINDOWS-1252"
    byte = error.object[error.start]
    return DataError(
        f"table must be UTF-8 text. '{path}' is not: byte {error.start} is 0x{byte:02x}. Save it as 'CSV UTF-8', or "
        f"convert it: iconv -f {encoding} -t UTF-8 {path.name} > utf8.csv"
    )
