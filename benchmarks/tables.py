"""Writes the tables and figures of README.md and docs/*.md from the results.json files: `make tables`.

    python benchmarks/tables.py [--check]

A page marks what is written for it; what stands between a mark and the next `<!-- end -->` is replaced:

    <!-- table: benchmarks/world/results.json levels -->
    <!-- table: benchmarks/loss/results.json rows "B = batch:,d" "time = ratio:.2f" -->
    takes <!-- value: benchmarks/step/results.json rows/variant=frozen base/seconds:.2f -->7.28<!-- end --> s

    <!-- sources: labelled -->
    <!-- keys: classification data -->
    <!-- keys: classification method lora -->
    <!-- compared: "Synthetic = benchmarks/world" "PACS = benchmarks/pacs" -->

After a table's file comes the name of one of `TABLES`, or the place of a list of objects, each a line, followed by
the columns as "HEADER = PLACE:FORMAT". A place is keys of JSON objects with slashes between; `key=value` picks an
object of a list. A format is Python's, or one of `FORMATS`. What a line lacks is a dash. After `sources` comes a
name of `SOURCES`: the keys of these kinds of source are written from their classes. After `keys` come a task, a
section of its run.yaml, and the keys that are written, all by default; after `method`, the method. After `compared`
come names and folders of comparisons: a row for each method that all of them have.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from inspect import getdoc
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from radapter.config.reading import TASKS as CONFIGS
from radapter.config.sources import CorruptedCopy
from radapter.data.labelled.kinds import LABELLED
from radapter.data.labelled.source import LabelledSource
from radapter.data.masks.kinds import MASKS
from radapter.data.masks.source import MaskSource
from radapter.data.pairs.kinds import PAIRS
from radapter.data.pairs.source import PairSource
from radapter.data.regions import REGIONS, RegionSource
from radapter.data.shards.stream import StreamSource
from radapter.data.source import Source
from radapter.data.wording import requirement
from radapter.errors import InputError
from radapter.methods import find_method
from radapter.report import details_markdown, results_markdown
from radapter.report.levels import differences_markdown, levels_markdown
from radapter.report.table import parameters
from radapter.runs.results import Results

ROOT = Path(__file__).parents[1]
FIGURES = {"docs/frontier.png": "benchmarks/demo/frontier.png"}
"""Copies of figures that a benchmark drew from its results.json."""

TABLES: dict[str, Callable[[Results], str]] = {
    "levels": levels_markdown,
    "differences": differences_markdown,
    "methods": results_markdown,
    "details": details_markdown,
}
"""The tables of a comparison."""

SOURCES: dict[str, tuple[type[Source], Sequence[type[Source]]]] = {
    "labelled": (LabelledSource, [*LABELLED, StreamSource]),
    "pairs": (PairSource, PAIRS),
    "masks": (MaskSource, MASKS),
    "regions": (RegionSource, REGIONS),
    "copies": (Source, [CorruptedCopy]),
}
"""What kinds have in common, and the kinds."""

FORMATS: dict[str, Callable[[Any], str]] = {
    "percent": lambda value: f"{100 * value:.1f}",
    "points": lambda value: f"{100 * value:+.1f}",
    "parameters": parameters,
    "floor": lambda value: _ABSENT if value == -2 else f"{value:.3f}",  # a cosine of -2 is no floor
}

_TABLE = re.compile(r"(<!-- table: (?P<asked>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_SOURCES = re.compile(r"(<!-- sources: (?P<asked>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_KEYS = re.compile(r"(<!-- keys: (?P<asked>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_COMPARED = re.compile(r"(<!-- compared: (?P<asked>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_VALUE = re.compile(r"(<!-- value: (?P<asked>.*?) -->).*?(<!-- end -->)", re.DOTALL)


class BlockError(InputError):
    """A block asks for what is not there."""


def main() -> None:
    """Writes, or says what is not current."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where something would change"
    )
    options = parser.parse_args()
    changed = stale(ROOT)
    for path, content in changed.items():
        print(f"{'not current' if options.check else 'written'}: {path.relative_to(ROOT)}")
        if not options.check:
            path.write_bytes(content)
    if options.check and changed:
        sys.exit(1)


def stale(root: Path) -> dict[Path, bytes]:
    """The pages and figures below `root` that are not what the results.json files give, and what they should be.

    Raises:
        BlockError: If a block is wrong.
    """
    found: dict[Path, bytes] = {}
    for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        try:
            now = written(text, root)
        except BlockError as error:
            raise BlockError(f"{page.relative_to(root)}: {error}") from error
        if now != text:
            found[page] = now.encode()
    for copy, figure in FIGURES.items():
        content = (root / figure).read_bytes()
        if not (root / copy).is_file() or (root / copy).read_bytes() != content:
            found[root / copy] = content
    return found


def written(text: str, root: Path) -> str:
    """A page with all its blocks replaced.

    Args:
        text: Of the page.
        root: The folder that files of blocks are relative to.

    Raises:
        BlockError: If a block is not closed, or asks for what is not there.
    """
    _check_closed(text)
    text = _TABLE.sub(lambda m: f"{m[1]}\n{table(m['asked'], root).strip()}\n\n{m[3]}", text)
    text = _SOURCES.sub(lambda m: f"{m[1]}\n{sources(m['asked']).strip()}\n\n{m[3]}", text)
    text = _KEYS.sub(lambda m: f"{m[1]}\n{keys(m['asked']).strip()}\n\n{m[3]}", text)
    text = _COMPARED.sub(lambda m: f"{m[1]}\n{compared(m['asked'], root).strip()}\n\n{m[3]}", text)
    return _VALUE.sub(lambda m: f"{m[1]}{value(m['asked'], root)}{m[3]}", text)


def table(asked: str, root: Path) -> str:
    """The Markdown of a table's block."""
    file, *rest = shlex.split(asked)
    if not rest:
        raise BlockError(f"a table must have a name or a place after its file. Got '{asked}'.")
    name, *columns = rest
    results = _read(root / file)
    if name in TABLES:
        return TABLES[name](Results.read((root / file).parent))
    rows = _at(results, name)
    if not isinstance(rows, list) or not columns:
        raise BlockError(
            f"a table must be one of {', '.join(TABLES)}, or the place of a list with columns. Got '{asked}'."
        )
    headers, places = zip(*(column.split(" = ", 1) for column in columns), strict=True)
    lines = [[_text(row, place) for place in places] for row in rows]
    numbers = [all(re.fullmatch(r"[-+\d.,% kMB]*", line[i]) for line in lines) for i in range(len(places))]
    rule = "".join("---:|" if number else "---|" for number in numbers)
    return "\n".join([_line(headers), f"|{rule}", *map(_line, lines)])


def compared(asked: str, root: Path) -> str:
    """The Markdown of several comparisons side by side: accuracies at the chosen alpha, and OOD at equal ID."""
    named = [part.split(" = ", 1) for part in shlex.split(asked)]
    found = {name: Results.read(root / folder) for name, folder in named}
    methods = [
        row.method
        for row in next(iter(found.values())).rows
        if all(any(other.method == row.method for other in each.rows) for each in found.values())
    ]
    headers = [
        part for name in found for part in (f"{name}: alpha", "ID / OOD / kept", f"OOD at equal ID, {name}")
    ]
    lines = [
        [method, *(cell for each in found.values() for cell in _cells(each, method))] for method in methods
    ]
    rule = "|---|" + "---:|" * len(headers)
    return "\n".join([_line(["Method", *headers]), rule, *map(_line, lines)])


_HALF = 1
"""The level of `Levels.fractions` at half of the best ID gain."""


def _cells(results: Results, method: str) -> list[str]:
    """Chosen alpha, accuracies there, and the difference in OOD from the reference at equal ID."""
    row, levels = results.row(method), results.levels
    assert levels is not None
    figures = " / ".join(
        "-" if each is None else f"{100 * each:.1f}" for each in (row.id_mean, row.ood_mean, row.kept)
    )
    if method == "zero-shot":
        return ["", figures, ""]
    of_method = levels.methods[method]
    if method == levels.against or of_method.difference is None:
        return [f"{row.alpha:.2g}", figures, "reference"]
    figure = of_method.difference[_HALF]
    if figure.mean is None:
        return [f"{row.alpha:.2g}", figures, "not reached"]
    spread = "" if figure.std is None else f" ± {100 * figure.std:.1f}"
    return [f"{row.alpha:.2g}", figures, f"{100 * figure.mean:+.1f}{spread}"]


def sources(asked: str) -> str:
    """The Markdown of the kinds of source of one task: the keys that all take, then a section for each kind."""
    if asked not in SOURCES:
        raise BlockError(f"sources must be one of {', '.join(SOURCES)}. Got '{asked}'.")
    base, kinds = SOURCES[asked]
    parts = []
    if base.model_fields:
        own = ", ".join(f"`{kind.key()}`" for kind in kinds if issubclass(kind, base))
        parts += [f"A mapping has exactly one of the keys {own}. Beside it, every mapping takes:"]
        parts += [_keys(base.model_fields)]
    for kind in kinds:
        in_order = sorted(kind.model_fields, key=lambda name: name != kind.key())
        fields = {name: kind.model_fields[name] for name in in_order if name not in base.model_fields}
        parts += [f"### `{kind.key()}`"] if len(kinds) > 1 else []
        parts += [_linked(getdoc(kind) or ""), _keys(fields)]
    return "\n\n".join(parts)


def keys(asked: str) -> str:
    """The Markdown of the keys of one section of a task's run.yaml, or of a method's settings."""
    task, section, *only = asked.split()
    if task not in CONFIGS or section not in CONFIGS[task].model_fields:
        raise BlockError(f"keys must be a task and a section of its run.yaml. Got '{asked}'.")
    if section == "method":
        method = find_method(only[0], task)
        fields = {key: method.settings_type.model_fields[key] for key in method.keys}
    else:
        found = CONFIGS[task].model_fields[section].annotation.model_fields  # type: ignore[union-attr]
        fields = {key: field for key, field in found.items() if not only or key in only}
    return _keys({f"{section}.{key}": field for key, field in fields.items()})


def _keys(fields: Mapping[str, FieldInfo]) -> str:
    lines = [
        (f"`{name}`", requirement(field), _default(field), field.description or "")
        for name, field in fields.items()
    ]
    return "\n".join(["| key | accepts | default | what it does |", "|---|---|---|---|", *map(_line, lines)])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return str(yaml.safe_dump(field.default, default_flow_style=True)).splitlines()[0]


def _linked(text: str) -> str:
    """A docstring in lines as long as they are, with links to the pages that it names."""
    return re.sub(r"docs/([a-z]+\.md)", r"[\1](\1)", " ".join(text.split()))


def value(asked: str, root: Path) -> str:
    """The text of an inline block."""
    file, place = asked.split(" ", 1)
    found = _text(_read(root / file), place)
    if found == _ABSENT:
        raise BlockError(f"'{place}' is not in '{file}'. Correct the block.")
    return found


_ABSENT = "-"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(found: object, place: str) -> str:
    """The value at a place as text; `_ABSENT` where there is none."""
    path, _, form = place.strip().partition(":")
    try:
        value = _at(found, path)
    except BlockError:
        return _ABSENT
    if value is None:
        return _ABSENT
    return FORMATS[form](value) if form in FORMATS else format(value, form)


def _at(found: Any, place: str) -> Any:
    for step in place.split("/"):
        key, equals, wanted = step.partition("=")
        if isinstance(found, list) and equals:
            matching = [item for item in found if str(item.get(key)) == wanted]
            if len(matching) != 1:
                raise BlockError(f"'{step}' of '{place}' must name one object. It names {len(matching)}.")
            (found,) = matching
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            raise BlockError(f"'{step}' of '{place}' is not there. Correct the block.")
    return found


@cache
def _read(file: Path) -> Any:
    if not file.is_file():
        raise BlockError(f"'{file}' is missing. Run its benchmark, or correct the block.")
    return json.loads(file.read_text(encoding="utf-8"))


def _check_closed(text: str) -> None:
    """Every mark is followed by an end before the next one."""
    marks = re.findall(r"<!-- (table:|compared:|value:|sources:|keys:|end)", text)
    if marks[::2].count("end") or any(mark != "end" for mark in marks[1::2]) or len(marks) % 2:
        raise BlockError(
            "every '<!-- table: ... -->', '<!-- sources: ... -->' and '<!-- value: ... -->' must have its "
            "'<!-- end -->'."
        )


if __name__ == "__main__":
    main()
