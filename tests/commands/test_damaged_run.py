"""Any value of a run directory's files may be wrong: every command ends with 0 or 2 and never with a traceback.

A deterministic sample of the mutations; RADAPTER_SOAK=1 tries all of them with every command.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

SOAK = os.environ.get("RADAPTER_SOAK") == "1"
SAMPLE = 5  # mutations of a file
FILES = (
    "config.yaml",
    "trained.json",
    "results.json",
    "manifest.json",
    "adapter/adapter_config.json",
    "adapter/manifest.json",
)
COMMANDS = (
    ("evaluate", "RUN", "--data", "{world: id_test, size: 4}"),
    ("merge", "RUN", "--alpha", "0.5", "--out", "merged"),
    ("sweep", "RUN"),
    ("verify", "RUN"),
    ("train", "RUN/config.yaml", "--out", "RUN", "--resume"),
)
Place = tuple[str | int, ...]


def places(content: Any, at: Place = ()) -> Iterator[Place]:
    """Where the values of a JSON or YAML file stand, the whole of it included."""
    yield at
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*at, key))


def replaced(content: Any, at: Place, value: Any) -> Any:
    if not at:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[at[0]] = replaced(copy[at[0]], at[1:], value)
    return copy


def wrong(value: Any) -> list[Any]:
    """What may stand in the place of a value: the wrong type, null, a huge and a negative number."""
    return [7 if isinstance(value, str) else "x", None, 10**30, -3, [value], {"x": value}]


def mutations(file: Path) -> list[tuple[Place, Any]]:
    content = yaml.safe_load(file.read_text())
    found = []
    for at in places(content):
        value = content
        for key in at:
            value = value[key]
        found += [(at, other) for other in wrong(value) if other != value]
    return found if SOAK else random.Random(0).sample(found, SAMPLE)


@pytest.fixture
def damaged(radapter, run, here):
    """Tries commands on a copy of the run, and tells those that ended otherwise than with 0 or 2."""
    turn = 0

    def of(change) -> list[str]:
        nonlocal turn
        chosen = COMMANDS if SOAK else (COMMANDS[turn % len(COMMANDS)],)
        turn += 1
        failed = []
        for command in chosen:
            for folder in ("RUN", "merged"):
                shutil.rmtree(here / folder, ignore_errors=True)
            shutil.copytree(run, here / "RUN")
            change(here / "RUN")
            answer = radapter(*command)
            if answer.code not in (0, 2):
                failed.append(f"{command[0]}: {answer.code} {answer.said[-600:]}")
        return failed

    return of


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_value_gives_a_message(damaged, run, name):
    def write(folder: Path) -> None:
        if not name.endswith("manifest.json"):
            ((folder / name).parent / "manifest.json").unlink()  # else its SHA-256 alone reveals the damage
        (folder / name).write_text(json.dumps(replaced(content, at, value)))

    content = yaml.safe_load((run / name).read_text())
    failed = []
    for at, value in mutations(run / name):
        failed += [f"{name} {at} = {value!r}: {said}" for said in damaged(write)]
    assert failed == []


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_file_that_is_truncated_or_removed_gives_a_message(damaged, run, is_recorded):
    def harm(folder: Path) -> None:
        for manifest in () if is_recorded else folder.rglob("manifest.json"):
            manifest.unlink()
        if kept is None:
            (folder / name).unlink(missing_ok=True)
        elif (folder / name).is_file():
            (folder / name).write_bytes((folder / name).read_bytes()[:kept])

    files = [str(file.relative_to(run)) for file in sorted(run.rglob("*")) if file.is_file()]
    harms = [(name, kept) for name in files for kept in (None, 0, (run / name).stat().st_size // 2)]
    failed = []
    for name, kept in harms if SOAK else random.Random(0).sample(harms, 2 * SAMPLE):
        failed += [f"{name} cut to {kept}: {said}" for said in damaged(harm)]
    assert failed == []
