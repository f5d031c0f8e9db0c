"""Paths in run.yaml: expanded when opened, stored as absolute paths so that they are valid from every folder."""

import errno
import glob
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from radapter.errors import ConfigError, DataError
from radapter.given_files import open_regular

PATH, PATH_OR_NAME, PATHS_OR_NAMES = "path", "path or name", "paths or names"
"""Marks of a field, as in `Annotated[str, PATH]`: a path or paths; a path or another name; a list of those."""


def _some_files(value: object) -> object:
    if value == []:
        raise ValueError("must name at least one file.")
    return value


Files = Annotated[str | list[str], PATH, BeforeValidator(_some_files)]
"""A path, or a non-empty list of paths."""
_VARIABLE = re.compile(r"\$\{?(\w+)")


def expanded(path: str) -> str:
    """Expands environment variables and `~`; raises ConfigError for an unset variable or an impossible name."""
    found = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111
    unset = [name for name in _VARIABLE.findall(path) if name not in os.environ]
    if unset and not os.path.exists(found):  # noqa: PTH110
        raise ConfigError(
            f"variables in a path must be set. In '{path}' ${unset[0]} is not. Set it: export {unset[0]}=/a/folder"
        )
    try:
        os.lstat(found)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
            raise ConfigError(f"a path must be a possible name. Got {path!r}: {error}.") from error
    return found


def expanded_files(given: str | Sequence[str]) -> list[str]:
    """The paths of `Files`, expanded; raises ConfigError as `expanded`."""
    return [expanded(path) for path in ([given] if isinstance(given, str) else given)]


def matching(patterns: Sequence[str], kind: str) -> list[str]:
    """The files that names, or patterns with `*`, match; raises DataError if one is missing or no regular file."""
    found: list[str] = []
    for pattern in patterns:
        files = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
        if not files:
            raise DataError(f"{kind} must exist. '{pattern}' does not.")
        for file in files:
            try:
                open_regular(file, limit=sys.maxsize).close()  # a memory-mapped file may have any size
            except OSError as error:
                raise DataError(
                    f"{kind} must exist and be a regular file. '{file}': {error.strerror}."
                ) from error
        found += files
    return found


def place(path: str) -> Path:
    """A source's file or folder, expanded; raises ConfigError as `expanded`."""
    return Path(expanded(path))


def absolute(path: str) -> str:
    """The absolute path. A path that starts with a variable is returned unchanged."""
    return path if path.startswith("$") else os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def absolute_if_local(name: str) -> str:
    """The absolute path if a file or folder has this name, else the name: a hub id, a keyword, a model's name.

    In `open_clip:ViT-B-16/path/to/weights` the path after the architecture becomes absolute.
    """
    if Path(name).expanduser().exists():
        return absolute(name)
    architecture, slash, weights = name.partition("/")
    if architecture.startswith("open_clip:") and slash and Path(weights).expanduser().exists():
        return f"{architecture}/{absolute(weights)}"
    return name


def plain(path: str) -> str:
    """A path as text for a file: bytes of a name that are no UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def with_absolute_paths(values: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The values of a mapping, with absolute paths (texts and lists of texts) in marked fields."""
    return {
        key: _absolute(value, fields[key].metadata if key in fields else ()) for key, value in values.items()
    }


def _absolute(value: Any, marks: Sequence[Any]) -> Any:
    if isinstance(value, list):
        each = [PATH] if PATH in marks else [PATH_OR_NAME] if PATHS_OR_NAMES in marks else []
        return [_absolute(item, each) for item in value]
    if isinstance(value, str) and PATH in marks:
        return absolute(value)
    return absolute_if_local(value) if isinstance(value, str) and PATH_OR_NAME in marks else value
