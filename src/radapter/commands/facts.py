"""What `radapter data check` prints of any kind of data set: a table of what was found."""

from collections.abc import Iterable

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from radapter.report.table import framed


def facts_table(name: str, rows: Iterable[tuple[str, str]]) -> Group:
    """A table of what -> found, under the set's name."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("What", no_wrap=True)
    table.add_column("Found", overflow="fold")
    for what, found in rows:
        table.add_row(what, Text(found))
    return framed(table, title=name)


def sizes_in_words(widths: tuple[int, int], heights: tuple[int, int]) -> str:
    """The (lowest, highest) widths and heights of pictures."""
    wide, high = (f"{low:,}" if low == top else f"{low:,} to {top:,}" for low, top in (widths, heights))
    return f"{wide} wide, {high} high"


def decoded_in_words(decoded: int, images: int) -> str:
    """How many of all pictures were decoded."""
    return "all" if decoded == images else f"{decoded:,} of {images:,}; --all reads all"
