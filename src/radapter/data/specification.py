"""What every specification of a source is checked for, whatever its pictures are labelled with.

A specification is a mapping with one telling key, the kind of the source, and options. Types are `isinstance`'s;
true and false are no numbers.
"""

import errno
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from radapter.data.pictures.bad_images import BadImages
from radapter.data.pictures.pictures import Pictures
from radapter.data.splits import UNREADABLE
from radapter.errors import ConfigError, ImageError, did_you_mean

_VARIABLE = re.compile(r"\$\{?(\w+)")


def check_options(
    options: Mapping[str, Any], kinds: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any]
) -> str:
    """Checks keys and types.

    Args:
        options: the specification.
        kinds: kind of source -> the keys that it takes, its own name among them, and their types.
        common: the keys that every kind takes, and their types.

    Returns:
        The kind.

    Raises:
        ConfigError: not exactly one kind, an unknown key, or a value of another type.
    """
    found = [kind for kind in kinds if kind in options]
    if len(found) != 1:
        near = "".join(did_you_mean(str(key), kinds) for key in options if key not in common)
        raise ConfigError(
            f"a data source must have exactly one of the keys {', '.join(kinds)}. Got {sorted(map(str, options))}."
            f"{'' if found else near}"
        )
    (kind,) = found
    known = {**kinds[kind], **common}
    for key, value in options.items():
        if key not in known:
            raise ConfigError(
                f"a {kind} source takes the keys {', '.join(known)}. Got {key!r}.{did_you_mean(str(key), known)}"
            )
        if not isinstance(value, known[key]) or (isinstance(value, bool) and known[key] is not bool):
            raise ConfigError(f"{key} of a {kind} source must be {_in_words(known[key])}. Got {value!r}.")
    return kind


def check_part(options: Mapping[str, Any]) -> None:
    """Raises ConfigError unless `part`, if there, is two numbers, and stands beside `split_seed`."""
    if "part" in options and (
        len(options["part"]) != 2 or not all(isinstance(end, (int, float)) for end in options["part"])
    ):
        raise ConfigError(f"part must be [low, high). Got {options['part']!r}.")
    check_seed(options, "split_seed", "part")


def check_seed(options: Mapping[str, Any], seed: str, what: str) -> None:
    """Raises ConfigError where a seed stands without the key whose draws it decides."""
    if seed in options and what not in options:
        raise ConfigError(f"{seed} changes only what {what} takes. Give {what}, or leave {seed} out.")


def expanded(path: str) -> str:
    """Expands environment variables and `~` in a path.

    Raises:
        ConfigError: a variable is not set, and nothing is called so literally, or no file can have this name.
    """
    found = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111
    unset = [name for name in _VARIABLE.findall(path) if name not in os.environ]
    if unset and not os.path.exists(found):  # noqa: PTH110
        raise ConfigError(
            f"variables in a path must be set. In '{path}' ${unset[0]} is not. "
            f"Set it: export {unset[0]}=/path/to/data"
        )
    try:
        os.lstat(found)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
            raise ConfigError(f"a path must be a possible name. Got {path!r}: {error}.") from error
    return found


def refuse_unreadable(pictures: Pictures, rows: Tensor, keys: Tensor, *, name: str, max_bad: float) -> None:
    """Raises DataError where the bytes of more than the allowed fraction of the pictures cannot be read.

    Args:
        pictures: all of a source.
        rows: (N,), int64, which of them the set holds.
        keys: (N,), int64, from `content_keys`.
        name: what messages call the set.
        max_bad: the fraction that may be unreadable.
    """
    bad = BadImages(name, len(rows), max_bad=max_bad)
    for row in rows[keys == UNREADABLE].tolist():
        try:
            pictures.content(row)
        except ImageError as error:
            bad.add(row, error)


def _in_words(types: Any) -> str:
    names = {
        str: "text",
        bool: "true or false",
        int: "an integer",
        float: "a number",
        Sequence: "a list",
        Mapping: "a mapping",
    }
    members = types if isinstance(types, tuple) else (types,)
    return " or ".join(dict.fromkeys(names.get(member, "a list") for member in members))
