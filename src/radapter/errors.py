"""The errors that radapter raises on purpose, caused by a file, a setting or data.

    RAdapterError                the command line prints the message and exits with 2
    ├── InputError               the user's input; nothing was written or changed
    │   ├── ConfigError          a key or value of run.yaml or of a call (also a ValueError)
    │   ├── SiteError            no place, or no exact place, for an adapter
    │   ├── ModelError           a model name, folder or weights file
    │   ├── DataError            a data set
    │   │   └── ImageError       one image
    │   ├── RunError             a run directory: other settings, data or base model, no complete checkpoint
    │   │   └── DiskError        a full or read-only disk
    │   ├── PeerError            another process of the same command ended or does not answer
    │   ├── ReaderError          a reader process was killed
    │   ├── UnsafeFileError      a file that could run code when opened
    │   └── MissingExtraError    an optional dependency (also an ImportError)
    ├── LeakError                a test set was requested before everything was chosen
    ├── MergeError               merging would give wrong weights; nothing was merged (also a ValueError, as in PEFT)
    ├── ExportError              the exported model differs from the one in memory; nothing was written
    ├── DamagedError             a folder whose files no longer match its manifest
    └── DivergedError            training, or the resulting model, gave non-finite values (also a ValueError)

A message gives name, requirement, value and remedy, in this order. Any other exception is a bug in radapter: the
command line prints its traceback, asks for a report and exits with 1.
"""

import difflib
import importlib
from collections.abc import Iterable, Sequence
from typing import Any


class RAdapterError(Exception):
    """Base of every error that radapter raises on purpose."""


class InputError(RAdapterError):
    """The user's input cannot be used; nothing was written or changed."""


class ConfigError(InputError, ValueError):
    """A configuration key or an argument is unknown, of the wrong type or out of range."""


class SiteError(InputError):
    """A module has no place for an adapter, or none where merging would be exact."""


class ModelError(InputError):
    """A model name is unknown, or its files are missing or unreadable."""


class DataError(InputError):
    """A data set is missing, empty, mislabelled or too corrupt."""


class ImageError(DataError):
    """One image or its mask cannot be decoded, exceeds the pixel limit, or the two differ in size."""


class RunError(InputError):
    """A run directory does not fit the command."""


class DiskError(RunError):
    """The disk is full or read-only; existing files are intact."""


class PeerError(InputError):
    """Another process of the same command ended, or did not answer within the timeout."""


class ReaderError(InputError):
    """A process that reads training data was killed, usually for lack of memory."""


class UnsafeFileError(InputError):
    """A file could run code when opened, so it was not opened."""


class MissingExtraError(InputError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class LeakError(RAdapterError):
    """A test set was requested before everything was chosen; it was not read."""


class MergeError(RAdapterError, ValueError):
    """Merging would give wrong or non-finite weights; nothing was merged."""


class ExportError(RAdapterError):
    """The exported model does not equal the one in memory; nothing was written."""


class DamagedError(RAdapterError):
    """A folder's files do not match its SHA-256 manifest."""


class DivergedError(RAdapterError, ValueError):
    """Loss or gradients were non-finite for too many steps in a row, or a model's logits are."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names most like `name`, whatever their case, best first, at most three."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    return [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known names, with a leading space; empty if none is near."""
    names = nearest(name, known)
    return f" Did you mean {' or '.join(repr(n) for n in names)}?" if names else ""


def import_extra(module: str, need: str, *, extra: str) -> Any:
    """Imports an optional dependency. Raises MissingExtraError if it is not installed; the message starts with
    `need`, such as "an overlay needs scipy"."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{need}, which is not installed. Run pip install 'radapter[{extra}]'."
        ) from error


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first names for a message, and " ..." if there are more."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
