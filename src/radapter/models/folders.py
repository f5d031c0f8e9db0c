"""Checks of a model's directory, which may come from anyone.

Libraries trust the configuration of a directory. This file checks it before they read it, and turns whatever they
raise into one error that names the file.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radapter.errors import DamagedError, ModelError, RAdapterError
from radapter.models import hub
from radapter.storage import read_json

LARGEST_NUMBER = 10_000_000  # in a configuration; a list of so many numbers still fits in memory
LARGEST_SIDE = 8192  # of an image that a model or its preparation of images may ask for, in pixels
LARGEST_TEXT_FILE = 256 * 2**20  # bytes; the largest tokenizers have 35 MB
_TEXT_FILES = {".json", ".txt", ".jinja"}
_READ = {*_TEXT_FILES, ".safetensors", ".bin", ".model"}
_PLACE = re.compile(r"(hf[-_]hub|local-dir):", re.IGNORECASE)
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """A block in which a library reads `place` and cannot ask the hub. Raises ModelError for all that it raises."""
    try:
        with hub.offline():
            yield
    except DamagedError as error:
        raise ModelError(str(error)) from error
    except (RAdapterError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of a library in Rust is no Exception
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        raise ModelError(
            f"'{place}' cannot be used. {reason} Correct it, or copy the directory again."
        ) from error


def check_folder(folder: Path) -> None:
    """Raises ModelError if a model's file is a link that leaves its directory, no regular file, or a huge text."""
    root = folder.resolve()
    if (
        root.parent.name == "snapshots"
    ):  # of the hub's cache, whose files are links into a directory beside it
        root = root.parents[1]
    for file in sorted(folder.iterdir()):
        if file.suffix not in _READ or file.is_dir():
            continue
        if not file.resolve().is_relative_to(root):
            raise ModelError(
                f"files of a model must lie in its directory. '{file}' is a link to '{file.resolve()}'. Copy the "
                "file in place of the link."
            )
        if not file.is_file():
            raise ModelError(f"files of a model must be regular files. '{file}' is not one. Remove it.")
        if file.suffix in _TEXT_FILES and (size := file.stat().st_size) > LARGEST_TEXT_FILE:
            raise ModelError(f"'{file}' must have at most {LARGEST_TEXT_FILE} bytes, got {size}.")


def read_config(file: Path, *, largest: float = LARGEST_NUMBER) -> dict[str, Any]:
    """Reads a JSON object. Raises ModelError for other files, numbers above `largest`, and references elsewhere."""
    with reading(file):
        value = read_json(file)
        if not isinstance(value, dict):
            raise ModelError(f"'{file}' must hold a JSON object, got {type(value).__name__}. Copy it again.")
        for key, found in _values(value, ""):
            if isinstance(found, int | float) and not abs(found) <= largest:
                raise ModelError(f"{key} in '{file}' must be finite and at most {largest:g}, got {found}.")
            if isinstance(found, str) and (
                _PLACE.match(found) or ("/" in found and key.endswith("attn_implementation"))
            ):
                raise ModelError(
                    f"{key} in '{file}' must not refer to another place, got '{found}'. Name a model that the "
                    "library has built in."
                )
        return value


def table_of(config: dict[str, Any], key: str, file: Path) -> dict[str, Any]:
    """The object at `key` of a configuration. Raises ModelError if there is none."""
    found = config.get(key)
    if not isinstance(found, dict):
        raise ModelError(f"{key} in '{file}' must be an object, got {found!r}. Copy the directory again.")
    return found


def check_hub_name(key: str, name: object, file: Path) -> None:
    """Raises ModelError unless a value names a repository of the hub and neither a path nor another place."""
    if not isinstance(name, str) or not _HUB_NAME.fullmatch(name) or ".." in name:
        raise ModelError(f"{key} in '{file}' must be a hub name such as 'owner/name', got {name!r}.")


def shards_of(index: Path) -> list[Path]:
    """The weights files that an index lists. Raises ModelError if one is not beside it, or the file is no index."""
    names = table_of(read_config(index, largest=math.inf), "weight_map", index).values()
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or re.search(r"[/\\:\0]", name):
            raise ModelError(f"weight_map in '{index}' must name files beside it, got {name!r}.")
    return [index.parent / name for name in sorted(set(names))]


def _values(value: object, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            yield from _values(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
