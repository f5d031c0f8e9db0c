"""What a key accepts, in words, and what is said where a value does not fit.

pydantic reports one error for each member of a union and speaks of types. Here there is one sentence for each key,
and its requirement is read from the annotation, so that a range is written once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from radapter.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Accepts:
    """Mark of an annotation whose type does not say what it accepts: the words for it."""

    words: str


def requirement(field: FieldInfo | None) -> str:
    """What a field accepts, in words: "null or a whole number >= 1"."""
    return "as documented" if field is None else _words(field.annotation, field.metadata)


def sentence_of(problem: Mapping[str, Any], key: str, field: FieldInfo | None) -> str:
    """What is wrong with one key.

    Args:
        problem: one of `ValidationError.errors()`; not that of an unknown key.
        key: dotted, as the user wrote it; empty for a source of its own.
        field: of the key; None where there is none.
    """
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


def _words(annotation: Any, metadata: Sequence[object] = ()) -> str:
    told = next((mark.words for mark in metadata if isinstance(mark, Accepts)), None)
    if told is not None:
        return told
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        return _words(inner, [m for e in extra for m in (e.metadata if isinstance(e, FieldInfo) else [e])])
    if origin in (Union, UnionType):
        members = sorted(get_args(annotation), key=lambda m: (m is not NoneType, _is_list(m)))
        return " or ".join(_words(m, metadata) for m in members)
    if origin is Literal:
        values = [repr(v) for v in get_args(annotation)]
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if origin is list:
        return f"a list, each item {_words(get_args(annotation)[0])}"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _range(metadata)
    plain = {bool: "true or false", str: "text", NoneType: "null"}
    return plain.get(annotation, "a mapping")


def _is_list(annotation: Any) -> bool:
    origin: Any = get_origin(annotation)
    return origin is list


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
