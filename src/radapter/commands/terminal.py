"""What commands print: lines, tables, and what to do next."""

import os
import shlex
from collections.abc import Collection, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.progress import is_quiet
from radapter.search.sheet import printable

_SHOWN = 5  # messages of images that were skipped


def say(text: str, style: str = "") -> None:
    """Prints one line as it is: brackets in a path are no markup."""
    Console().print(Text(text, style=style), soft_wrap=True)


def say_aside(text: str) -> None:
    """Prints one line on stderr, where it does not mix with results."""
    Console(stderr=True).print(Text(text), soft_wrap=True)


def report_left_out(heading: str, messages: Sequence[str]) -> None:
    """Prints on stderr how many images were left out, and why the first of them were; nothing for none."""
    if messages:
        more = [f"and {len(messages) - _SHOWN} more"] if len(messages) > _SHOWN else []
        lines = [f"{heading}: {len(messages)}", *map(printable, messages[:_SHOWN]), *more]
        say_aside("\n  ".join(lines))


def plain_table(*columns: str, left: Collection[str] = (), **options: Any) -> Table:
    """A table with a line below its header; numbers are aligned to the right, the columns in `left` to the left."""
    table = Table(box=box.SIMPLE_HEAD, **options)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    return table


def next_steps(*steps: tuple[str, str]) -> None:
    """Prints what to do next: pairs of a purpose and a command."""
    if is_quiet():
        return
    say("\nNext:")
    for purpose, command in steps:
        line = Text(f"  {purpose}: ")
        line.append(command, style="bold")
        Console().print(line, soft_wrap=True)


def next_in_run_yaml(section: str) -> None:
    """Prints the lines of run.yaml that use what a command made."""
    say(f"\nNext, in run.yaml:\n\n{section}")


def free(name: str) -> str:
    """A name for a suggested command, quoted for a shell: the given one, or with a number if it exists already."""
    path = Path(name)
    others = (f"{path.with_suffix('')}-{number}{path.suffix}" for number in count(2))
    return shlex.quote(next(each for each in chain([name], others) if not os.path.lexists(each)))
