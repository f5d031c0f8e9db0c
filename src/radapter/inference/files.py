"""What the files of predictions and of embeddings have in common."""

import os
from collections.abc import Sequence
from pathlib import Path

from radapter.errors import ConfigError, RunError
from radapter.storage import check_destination


def check_new_file(path: str | os.PathLike[str], suffixes: Sequence[str], *, name: str = "output") -> Path:
    """Checks a file before the work that fills it, and returns its path; `name` is its name in messages.

    Raises:
        ConfigError: it has none of the suffixes.
        RunError: it exists, or cannot be written.
    """
    target = Path(path)
    if target.suffix not in suffixes:
        raise ConfigError(f"{name} must end in {' or '.join(suffixes)}. Got '{target}'.")
    check_destination(target)
    if os.path.lexists(target):
        raise RunError(f"{name} must be a new file. '{target}' exists. Give another name or remove it.")
    return target


def plain(path: str) -> str:
    """A path as text that every file can hold: bytes that are no UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
