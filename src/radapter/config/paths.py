"""Paths in a configuration: written as the user likes, stored so that they hold from every folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, PlainSerializer
from pydantic.fields import FieldInfo

PATH, PATH_OR_NAME, PATHS_OR_NAMES = "path", "path or name", "paths or names"
"""Marks of a field, such as `Annotated[str, PATH]`: a path or paths, a text that may name a file, a list of such."""


def absolute(path: str) -> str:
    """The path seen from the root; one that starts with a variable is left to whoever opens it."""
    return path if path.startswith("$") else os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def absolute_if_local(name: str) -> str:
    """The absolute path where a file or folder has this name, else the name: a hub id, a keyword, a model's name.

    Weights behind an architecture, `open_clip:ViT-B-16/path/to/weights`, keep the architecture.
    """
    if Path(name).expanduser().exists():
        return absolute(name)
    architecture, slash, weights = name.partition("/")
    if architecture.startswith("open_clip:") and slash and Path(weights).expanduser().exists():
        return f"{architecture}/{absolute(weights)}"
    return name


def with_absolute_paths(values: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The values of a mapping, those of marked fields absolute; texts and lists of texts."""
    return {
        key: _absolute(value, fields[key].metadata if key in fields else ()) for key, value in values.items()
    }


def stored_source(spec: Any, kinds: Mapping[str, type[BaseModel]]) -> Any:
    """A data source, a path or a mapping of one of these kinds, with absolute paths."""
    if isinstance(spec, str):
        return absolute(spec)
    kind = next(kind for kind in kinds if kind in spec)
    return with_absolute_paths(spec, kinds[kind].model_fields)


def _absolute(value: Any, marks: Sequence[Any]) -> Any:
    if value is None:
        return None
    for mark in marks:
        if isinstance(mark, PlainSerializer):  # a source within a source
            return mark.func(value)  # type: ignore[call-arg]
    if isinstance(value, list):
        each = [PATH] if PATH in marks else [PATH_OR_NAME] if PATHS_OR_NAMES in marks else []
        return [_absolute(item, each) for item in value]
    if isinstance(value, str) and PATH in marks:
        return absolute(value)
    return absolute_if_local(value) if isinstance(value, str) and PATH_OR_NAME in marks else value
