"""Tables of text: CSV, or TSV where the file's name ends in .tsv or .tab.

If the first line of a CSV file has no comma, the separator is what that line has: a semicolon, as spreadsheets write
where the comma is the decimal sign, a tab, or a bar.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from radapter.data.paths import place
from radapter.data.source import Source
from radapter.data.wording import refuse_unknown
from radapter.errors import DataError
from radapter.given_files import text_lines

SUFFIXES = (".csv", ".tsv", ".tab")
"""Suffixes of tables; the last two are separated by tabs."""
_SEPARATORS = (",", ";", "\t", "|")


class ListedImages(Source):
    """Kinds of source that are a table of image paths written by the user."""

    images: str | None = Field(
        default=None, description="folder, relative to the table's, where relative image paths start"
    )

    def listing(self) -> tuple[Path, Path]:
        """The folder where relative image paths start, and the table."""
        table = place(getattr(self, self.key()))
        return table.parent / (self.images or ""), table


def column_names(path: Path) -> list[str]:
    """The names in a table's first line, stripped; raises DataError if the file is missing or is no table."""
    return next(_lines(path), [])


def separator_of(path: Path) -> str:
    """The character between the cells of a table; raises DataError if the file is missing or not UTF-8."""
    if path.suffix.lower() in SUFFIXES[1:]:
        return "\t"
    try:
        first = next(text_lines(path), "")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return next((separator for separator in _SEPARATORS if separator in first), ",")


def read_table(path: Path, columns: Sequence[str], *, beside: str = "label") -> list[list[str]]:
    """The cells of these columns of a table, one list per column; its first line names the columns.

    Raises:
        ConfigError: the table has no such column; the message names the second one with the key `beside`.
        DataError: the file is missing, no table, without rows, or has a row of another length.
    """
    lines = list(_lines(path))
    if len(lines) < 2:
        raise DataError(f"table must have a line of column names and a row. '{path}' has {len(lines)} lines.")
    header, *rows = lines
    remedy = f" Name its columns in the source: {{csv: {path}, image: COLUMN, {beside}: COLUMN}}."
    for column in columns:
        refuse_unknown("column", column, header, f"'{path}'", remedy)
    wrong = [(number, row) for number, row in enumerate(rows, start=1) if len(row) != len(header)]
    if wrong:
        number, row = wrong[0]
        raise DataError(
            f"every row must have {len(header)} cells. In '{path}' {len(wrong)} of {len(rows)} do not. Row "
            f"{number} has {len(row)}: {row}. Quote cells that hold the separator."
        )
    indices = [header.index(column) for column in columns]
    return [[row[index] for row in rows] for index in indices]


def refuse_blank(cells: Sequence[str], what: str, path: Path, remedy: str) -> None:
    """Raises DataError if a cell of a column is blank; `what` is what every row must name."""
    blank = [str(number) for number, cell in enumerate(cells, start=1) if not cell.strip()]
    if blank:
        raise DataError(
            f"every row must name {what}. In '{path}' {len(blank)} of {len(cells)} do not, first rows "
            f"{', '.join(blank[:3])}. {remedy}"
        )


def _lines(path: Path) -> Iterator[list[str]]:
    separator = separator_of(path)
    row = 0
    try:
        for line in filter(None, csv.reader(text_lines(path), delimiter=separator, strict=True)):
            yield line if row else [name.strip() for name in line]
            row += 1
    except csv.Error as error:
        where = f"row {row}" if row else "the line of column names"
        raise DataError(
            f"table must be a UTF-8 CSV or TSV file. '{path}', {where}: {error}. Correct it, or shorten its cells "
            f"to {csv.field_size_limit():,} characters."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> DataError:
    if not isinstance(error, UnicodeDecodeError):
        return DataError(f"table must exist and be readable. '{path}': {error.strerror}. Check the path.")
    with path.open("rb") as file:
        encoding = "UTF-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"
    return DataError(
        f"table must be UTF-8 text. '{path}' is not: byte {error.start} is 0x{error.object[error.start]:02x}. Save "
        f"it as 'CSV UTF-8', or convert it: iconv -f {encoding} -t UTF-8 {path.name} > utf8.csv"
    )
