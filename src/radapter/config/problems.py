"""Error messages on wrong keys of run.yaml: the place, the requirement and the value found."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from radapter.config.schema import CommonConfig
from radapter.data.source import Location, Source, in_kind, unknown_key
from radapter.data.wording import requirement, sentence_of, with_value
from radapter.errors import nearest

Locate = Callable[[Location], str]
SETS = ("train", "id_val", "id_test")
"""The sets that a source for all of `data` becomes."""


def describe(
    error: ValidationError, locate: Locate, schema: type[CommonConfig], *, one_source: bool = False
) -> list[str]:
    """Return one sentence for each wrong key; `locate` gives a prefix such as "run.yaml:7: " for a location.

    With `one_source`, the keys of a source are written once in `data` and were copied to its sets.
    """
    sentences: dict[Location, str] = {}
    for problem in error.errors(include_url=False):
        if problem["loc"][:1] == ("method",):
            location, sentence = _of_method(problem, schema)
            sentences.setdefault(location, locate(location) + sentence)
            continue
        location, field, kind = _find(problem["loc"], schema, whole=problem["type"] == "value_error")
        if one_source and len(location) > 2 and location[:2] in {("data", name) for name in SETS}:
            location = ("data", *location[2:])
        key = ".".join(map(str, location))
        if problem["type"] == "value_error" and not location:
            sentence = str(problem["ctx"]["error"])  # a rule between keys, which names them itself
        elif problem["type"] != "extra_forbidden":
            sentence = sentence_of(problem, key, field)
        elif kind is None:
            sentence = _unknown(location, schema)
        else:
            elsewhere = _named(str(location[-1]), schema)
            beside = ["templates"] if location[1] == "transfer" else []
            sentence = unknown_key(key, kind, beside=beside, elsewhere=elsewhere)
        sentences.setdefault(location, locate(location) + sentence)
    return list(sentences.values())


def known_keys(schema: type[CommonConfig]) -> list[str]:
    """Return every dotted key of a task's run.yaml."""
    keys = list(_keys(schema, ""))
    after = keys.index("method") + 1
    return [*keys[:after], *(f"method.{key}" for key in method_fields(schema)), *keys[after:]]


def method_fields(schema: type[CommonConfig]) -> dict[str, FieldInfo]:
    """Return the keys of `method` that some method of a task reads, each as its last reader declares it."""
    methods = schema.methods.table.values()
    return {key: method.settings_type.model_fields[key] for method in methods for key in method.keys}


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def _of_method(problem: ErrorDetails, schema: type[CommonConfig]) -> tuple[Location, str]:
    """The location below `method` that the user wrote, and the sentence on it."""
    value = problem["input"]
    if len(problem["loc"]) == 1:  # the name
        named = isinstance(value, Mapping)
        key, value = ("method.name", value["name"]) if named else ("method", value)
        rule = problem["ctx"]["error"] if problem["type"] == "value_error" else problem["msg"]
        return tuple(key.split(".")), f"{key} {with_value(str(rule), value)}"
    if len(problem["loc"]) == 2:  # a rule of the method's own, which names its key
        return ("method",), str(problem["ctx"]["error"])
    _, name, key, *_ = map(str, problem["loc"])
    member, method = schema.methods.members[name], schema.methods.table[name]
    readers = schema.methods.readers(key)
    if key in member.model_fields:
        sentence = f"method.{key} {with_value(f'must be {requirement(member.model_fields[key])}', value)}"
    elif key in method.fixed:
        sentence = f"method.{key} is {method.fixed[key]} in method '{name}'. Got {value}. Leave it out."
    elif readers:
        elsewhere = next((known for known in _keys(schema, "") if known.endswith(f".{key}")), None)
        sentence = (
            f"method.{key} is for {', '.join(readers)}. Got {value} with method '{name}', which does not read it. "
            + ("Leave it out." if elsewhere is None else f"Did you mean '{elsewhere}'?")
        )
    else:
        sentence = _unknown(("method", key), schema, list(method.keys))
    return ("method", key), sentence


def _find(
    given: Location, schema: type[CommonConfig], *, whole: bool
) -> tuple[Location, FieldInfo | None, type[Source] | None]:
    """The part of pydantic's location that the user wrote, the field there, and the source that it is in.

    The part ends with a key of the schema; with `whole`, it may end with an item of a mapping or a list.
    """
    location, kind = in_kind(given)
    if location[:3] == ("data", "id_test", "id_test"):  # the name of a single test set
        location = (*location[:2], *location[3:])
    if kind is not None:
        return location, kind.model_fields.get(str(location[-1])), kind
    if whole:
        return location, None, None
    model: type[BaseModel] = schema
    for depth, part in enumerate(location, start=1):
        if str(part) not in model.model_fields:
            return location[:depth], None, None
        field = model.model_fields[str(part)]
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return location[:depth], field, None
        model = field.annotation
    return location, field if location else None, None


def _named(name: str, schema: type[CommonConfig]) -> list[str]:
    """The keys of that name in any section."""
    return [key for key in known_keys(schema) if key.rpartition(".")[2] == name]


def _unknown(location: Location, schema: type[CommonConfig], siblings: Sequence[str] | None = None) -> str:
    """A sibling if one is near, else the same name in another section, else everything known there."""
    prefix, name = ".".join(map(str, location[:-1])), str(location[-1])
    elsewhere = _named(name, schema)
    if siblings is None:
        siblings = [key.rpartition(".")[2] for key in known_keys(schema) if key.rpartition(".")[0] == prefix]
    near = nearest(name, siblings)[:1] or elsewhere
    here = f"{prefix}.{name}".lstrip(".")
    if not near:
        return f"unknown key '{here}'. Known here: {', '.join(siblings) or 'none'}."
    full = [n if n in elsewhere or not prefix or "." in n else f"{prefix}.{n}" for n in near]
    return f"unknown key '{here}'. Did you mean {' or '.join(repr(n) for n in full)}?"
