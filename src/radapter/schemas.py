"""Reads radapter's own files as one type each, checking their schema and their values.

A file names its schema under "schema"; without this key it is schema 1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from radapter.errors import DamagedError, RunError
from radapter.storage import read_json

T = TypeVar("T")


def check_schema(content: object, file: Path, *, reads: Sequence[int]) -> int:
    """Returns the schema of a file's JSON or YAML content. Raises RunError if it is not one of `reads`."""
    found = content.get("schema", 1) if isinstance(content, dict) else 1
    if type(found) is not int or found not in reads:
        raise RunError(
            f"'{file}' was written by schema {found!r}; this radapter reads {' and '.join(map(str, reads))}. Run "
            "the command that wrote it again, in a new folder, or use the radapter that wrote it."
        )
    return found


def read_as(file: Path, type_: type[T] | TypeAdapter[T], *, reads: Sequence[int]) -> T:
    """Reads an existing JSON file as a pydantic model, or through an adapter of another type. Raises RunError if its
    schema is not one of `reads`, and DamagedError if it is not JSON or a value does not fit."""
    content = read_json(file)
    check_schema(content, file, reads=reads)
    try:
        return (type_ if isinstance(type_, TypeAdapter) else TypeAdapter(type_)).validate_python(content)
    except ValidationError as error:
        raise DamagedError(
            f"'{file}' is damaged: {first_problem(error)}. Copy it again or write it again."
        ) from error


def first_problem(error: ValidationError) -> str:
    """Where the first value that does not fit is, why it does not, and the value."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "its content"
    value = repr(first["input"])
    found = f", got {value if len(value) <= 60 else value[:57] + '...'}" if first["type"] != "missing" else ""
    return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}{found}"
