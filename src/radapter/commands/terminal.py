"""What commands print: lines, tables, and what to do next."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.progress import is_quiet
from radapter.search.sheet import printable

_SHOWN = 5  # messages of images that were skipped


def say(text: str, style: str = "") -> None:
    """Prints text without markup; a terminal wraps it between words, a file gets whole lines."""
    console = Console()
    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def say_aside(text: str) -> None:
    """Prints text on stderr, where it does not mix with results."""
    console = Console(stderr=True)
    console.print(Text(text), soft_wrap=not console.is_terminal)


def say_to_copy(text: str) -> None:
    """Prints lines of a file as they are, to be copied."""
    Console().print(Text(text), soft_wrap=True)


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
    console = Console()
    for purpose, command in steps:
        line = Text(f"  {purpose}: ")
        line.append(command, style="bold")
        if console.is_terminal and line.cell_len > console.width:
            line = Text(f"  {purpose}:\n    ").append(_continued(command, console.width - 4), style="bold")
        console.print(line, soft_wrap=True)


def _continued(command: str, width: int) -> str:
    """A shell command on lines of at most `width` columns where its words allow it, joined by backslashes."""
    lines = [""]
    for word in re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+", command):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append(f"  {word}")
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\n    ".join(lines)


def next_in_run_yaml(section: str) -> None:
    """Prints the lines of run.yaml that use what a command made."""
    say_to_copy(f"\nNext, in run.yaml:\n\n{section}")
