"""What `radapter data check` prints for any kind of data set: a table of facts, and lines of run.yaml."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.commands.terminal import say, say_to_copy
from radapter.data import MAX_BAD
from radapter.data.dividing import divided, siblings_of
from radapter.errors import DataError, listed
from radapter.operations.sets import in_flow
from radapter.operations.task import Spec
from radapter.report.table import framed
from radapter.task_list import DEFAULT_TASK
from radapter.zeroshot import spoken

_NAMES = 3  # shown of those that are spelt differently
COPY = {"corrupt": "id_test"}
"""A corrupted copy of the test set."""


def print_facts(name: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print a table of (what, found) under the set's name."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("What", no_wrap=True)
    table.add_column("Found", overflow="fold")
    for what, found in rows:
        table.add_row(what, Text(found))
    Console().print(framed(table, title=name))


def sizes_in_words(widths: tuple[int, int], heights: tuple[int, int]) -> str:
    """Return the (lowest, highest) widths and heights of images as words."""
    wide, high = (f"{low:,}" if low == top else f"{low:,} to {top:,}" for low, top in (widths, heights))
    return f"{wide} wide, {high} high"


def decoded_in_words(decoded: int, images: int) -> str:
    """Return how many of all images were decoded."""
    return "all" if decoded == images else f"{decoded:,} of {images:,}; --all reads all"


def check_damage(name: str, damaged: int, decoded: int, *, word: str = "unreadable") -> None:
    """Raise DataError if more of the decoded images are damaged than a run accepts."""
    if damaged > MAX_BAD * decoded:
        raise DataError(
            f"at most {MAX_BAD:.2%} of the images may be {word} (data.max_bad). Of the {decoded:,} decoded in "
            f"'{name}' {damaged:,} are. Repair them, or raise data.max_bad."
        )


def report_spelling(given_names: Sequence[str]) -> None:
    """Print which names of a source are spelt differently in prompts."""
    changed = [name for name in given_names if "_" in name]
    if changed:
        shown = listed([f"{name} -> '{spoken(name)}'" for name in changed], _NAMES)
        say(
            f"Underscores in class names become spaces in prompts: {shown} ({len(changed):,} of "
            f"{len(given_names):,})."
        )


def propose(roles: Mapping[str, Any], task: str = DEFAULT_TASK, *, more: str = "") -> None:
    """Print the `data` section of a run.yaml, by role of a set, and `more` below it."""
    lines = ["data:"] if task == DEFAULT_TASK else [f"task: {task}", "data:"]
    for role, spec in roles.items():
        if role == "ood":
            lines += ["  ood:", *(f"    {name}: {in_flow(of_one)}" for name, of_one in spec.items())]
        else:
            lines.append(f"  {role}: {in_flow(spec)}")
    say_to_copy("\nNext, in run.yaml:\n\n" + "\n".join(lines) + more)


def is_cut(spec: Spec) -> bool:
    """Whether a source is a part of a data set already, and not one to train on."""
    cut = {"part", "shots", "corrupt", "domain", "split_list"} & spec.keys()
    return bool(cut) or spec.get("split") in ("val", "validation", "test")


def uncut(spec: Spec) -> Spec:
    """Return the sets by role that a source gives: a test set if it is cut, else its siblings or its parts."""
    if is_cut(spec):
        return {"id_test": dict(spec)}
    siblings = siblings_of(spec["folder"]) if isinstance(spec.get("folder"), str) else {}
    return with_copy({role: {**spec, "folder": folder} for role, folder in siblings.items()} or divided(spec))


def with_copy(sets: Mapping[str, Spec]) -> Spec:
    """Return the sets and a shifted one, which `compare` needs: a corrupted copy of the test set."""
    return {**sets, "ood": {"corrupted": COPY}} if "id_test" in sets else dict(sets)
