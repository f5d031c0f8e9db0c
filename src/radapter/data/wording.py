"""The words of errors: what a key accepts, what does not fit, and which file could not be read.

pydantic reports one error for each member of a union and speaks of types. Here each key gets one sentence. Its
requirement is read from the annotation, so that a range is written once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from radapter.errors import ConfigError, DataError, did_you_mean

_Content = TypeVar("_Content")


@dataclass(frozen=True)
class Accepts:
    """Mark of an annotation whose type does not say what it accepts: the words for it."""

    words: str


def requirement(field: FieldInfo | None) -> str:
    """What a field accepts, in words: "null or a whole number >= 1"."""
    return "as documented" if field is None else _words(field.annotation, field.metadata)


def sentence_of(problem: Mapping[str, Any], key: str, field: FieldInfo | None) -> str:
    """Describes one of `ValidationError.errors()`, except an unknown key; `key` is dotted, or empty for a source."""
    kind, value = problem["type"], problem["input"]
    if kind == "missing":
        return f"'{key}' is required: {field.description if field else 'it has no default'}."
    if kind == "value_error":
        rule = problem["ctx"]["error"]
        if isinstance(rule, ConfigError):  # a whole sentence
            return f"{key}: {rule}" if key else str(rule)
        return f"{key or 'a data source'} {with_value(str(rule), value)}"
    options = _literals(None if field is None else field.annotation)
    near_one = did_you_mean(value, options) if isinstance(value, str) else ""
    return f"{key} {with_value(f'must be {requirement(field)}', value)}{near_one}"


def with_value(rule: str, value: object) -> str:
    """Returns a rule such as "must be > 0", the value found, and the rule's further sentences."""
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    first, _, rest = rule.partition(". ")
    quotes = " Put it in quotes." if "text" in rule and isinstance(value, bool | int | float) else ""
    return f"{first.rstrip('.')}. Got {shown}.{' ' + rest if rest else ''}{quotes}"


def refuse_unknown(key: str, value: str, known: Collection[str], holder: str, remedy: str = "") -> None:
    """Raises ConfigError unless `value` is one of `known`, the names in `holder`; proposes the nearest."""
    if value not in known:
        raise ConfigError(
            f"{key} must be one of {', '.join(known)}. {holder} has no {value!r}."
            f"{did_you_mean(value, known)}{remedy}"
        )


def read_or_refuse(
    read: Callable[[Path], _Content], path: Path, requirement: str, remedy: str = ""
) -> _Content:
    """Returns `read(path)`; raises DataError with the requirement and the remedy where the file cannot be read."""
    try:
        return read(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{requirement}. '{path}': {error}.{remedy}") from error


def unlisted(error: OSError) -> DataError:
    """The error for a folder that cannot be listed; without it, its images would be missing silently."""
    return DataError(
        f"every folder of the data must be readable. '{error.filename}': {error.strerror}. Change its permissions, "
        "mount it again, or remove it."
    )


def some(items: Sequence[str]) -> str:
    """The first three items, and dots for more."""
    return ", ".join(items[:3]) + (" ..." if len(items) > 3 else "")


def _words(annotation: Any, metadata: Sequence[object] = ()) -> str:
    for mark in metadata:
        if isinstance(mark, Accepts):
            return mark.words
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        return _words(inner, [m for e in extra for m in (e.metadata if isinstance(e, FieldInfo) else [e])])
    if origin in (Union, UnionType):
        members = sorted(get_args(annotation), key=lambda m: (m is not NoneType, repr(m).startswith("list[")))
        return " or ".join(_words(m, metadata) for m in members)
    if origin is Literal:
        values = [repr(v) for v in get_args(annotation)]
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if origin is list:
        return f"a list, each item {_words(get_args(annotation)[0])}"
    if origin is dict:
        return f"a mapping, each value {_words(get_args(annotation)[1])}"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _range(metadata)
    return {bool: "true or false", str: "text", NoneType: "null"}.get(annotation, "a mapping")


def _literals(annotation: Any) -> list[str]:
    """The texts that an annotation names."""
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    return [text for member in get_args(annotation) for text in _literals(member)]


def _range(metadata: Sequence[object]) -> str:
    low = next((m for m in metadata if isinstance(m, Ge | Gt)), None)
    high = next((m for m in metadata if isinstance(m, Le | Lt)), None)
    if low and high:
        left, bottom = ("[", low.ge) if isinstance(low, Ge) else ("(", low.gt)
        right, top = ("]", high.le) if isinstance(high, Le) else (")", high.lt)
        return f" in {left}{bottom}, {top}{right}"
    if low:
        return f" >= {low.ge}" if isinstance(low, Ge) else f" > {low.gt}"
    return ""
