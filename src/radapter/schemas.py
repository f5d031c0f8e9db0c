"""Files of radapter's own, read as one type each: of a schema that this version reads, and with values that fit.

A file says its schema under "schema"; where that is absent it is the first one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from radapter.errors import DamagedError, RunError
from radapter.storage import read_json

T = TypeVar("T")


def check_schema(content: object, file: Path, *, reads: Sequence[int]) -> int:
    """Returns the schema of a file's content.

    Args:
        content: as JSON or YAML gives it.
        file: for the message.
        reads: the schemas that are read.

    Raises:
        RunError: it is another one.
    """
    found = content.get("schema", 1) if isinstance(content, dict) else 1
    if type(found) is not int or found not in reads:
        raise RunError(
            f"'{file}' was written by schema {found!r}; this radapter reads {' and '.join(map(str, reads))}. Run "
            "the command that wrote it again, in a new folder, or use the radapter that wrote it."
        )
    return found


def read_as(file: Path, type_: type[T] | TypeAdapter[T], *, reads: Sequence[int]) -> T:
    """Reads a JSON file as a type.

    Args:
        file: must exist.
        type_: pydantic's model, or an adapter of another type.
        reads: the schemas that are read.

    Raises:
        RunError: the file is of another schema.
        DamagedError: it is not JSON, or a value does not fit; the message names the first.
    """
    content = read_json(file)
    check_schema(content, file, reads=reads)
    try:
        return (type_ if isinstance(type_, TypeAdapter) else TypeAdapter(type_)).validate_python(content)
    except ValidationError as error:
        raise DamagedError(
            f"'{file}' is damaged: {first_problem(error)}. Copy it again or write it anew."
        ) from error


def first_problem(error: ValidationError) -> str:
    """The first value that does not fit, where it stands and why."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "its content"
    value = repr(first["input"])
    found = f", got {value if len(value) <= 60 else value[:57] + '...'}" if first["type"] != "missing" else ""
    return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}{found}"
