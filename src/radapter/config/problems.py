"""What is said about a wrong key of run.yaml: where it stands, what it must be, what was given.

pydantic reports one error per member of a union and speaks of types; here there is one line per key, and its
requirement is read from the annotation, so that the range is written in schema.py alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from radapter.config.mask_sources import MASK_KINDS, REGION_KINDS
from radapter.config.pair_sources import PAIR_TRAIN_KINDS
from radapter.config.schema import CommonConfig
from radapter.config.sources import COPY, TRAIN_KINDS
from radapter.errors import nearest

Location = tuple[str | int, ...]
Locate = Callable[[Location], str]


def describe(error: ValidationError, locate: Locate, schema: type[CommonConfig]) -> list[str]:
    """One sentence for each wrong key.

    Args:
        error: what pydantic found.
        locate: gives a place such as "run.yaml:7: " for a location; "" where there is none.
        schema: of the task.
    """
    sentences: dict[Location, str] = {}
    for problem in error.errors(include_url=False):
        if problem["loc"][:1] == ("method",):
            location, sentence = _of_method(problem, schema)
            sentences.setdefault(location, locate(location) + sentence)
            continue
        given = tuple(part for part in problem["loc"] if not _is_tag(part))
        tags = [str(part) for part in problem["loc"] if str(part) in _TAGGED]
        location, field = _find(given, tags, schema)
        key = ".".join(map(str, location))
        if problem["type"] == "extra_forbidden":
            kinds = _family(tags[-1]) if tags else TRAIN_KINDS
            sentence = _unknown(location, _siblings(location, schema, kinds=kinds), schema)
        elif problem["type"] == "missing":
            sentence = f"'{key}' is required: {field.description if field else 'it has no default'}."
        elif problem["type"] == "value_error" and not location:
            sentence = str(problem["ctx"]["error"])  # a rule between keys, which names them itself
        else:
            own = problem["type"] in ("value_error", "source")
            rule = _own_rule(problem) if own else f"must be {requirement(field)}"
            sentence = f"{key} {_with_value(rule, problem['input'])}"
        sentences.setdefault(location, locate(location) + sentence)
    return list(sentences.values())


def known_keys(schema: type[CommonConfig]) -> list[str]:
    """Every dotted key of a task's run.yaml."""
    keys = list(_keys(schema, ""))
    after = keys.index("method") + 1
    return [*keys[:after], *(f"method.{key}" for key in method_fields(schema)), *keys[after:]]


def requirement(field: FieldInfo | None) -> str:
    """What a field accepts, in words: "null or a whole number >= 1"."""
    return "as documented" if field is None else _words(field.annotation, field.metadata)


def method_fields(schema: type[CommonConfig]) -> dict[str, FieldInfo]:
    """Returns the keys of `method` that some method of a task reads, each as its last reader declares it."""
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
        return tuple(key.split(".")), f"{key} {_with_value(_own_rule(problem), value)}"
    _, name, key, *_ = map(str, problem["loc"])
    member, method = schema.methods.members[name], schema.methods.table[name]
    readers = schema.methods.readers(key)
    if key in member.model_fields:
        sentence = f"method.{key} {_with_value(f'must be {requirement(member.model_fields[key])}', value)}"
    elif key in method.fixed:
        sentence = f"method.{key} is {method.fixed[key]} in method '{name}'. Got {value}. Leave it out."
    elif readers:
        sentence = (
            f"method.{key} is for {', '.join(readers)}. Got {value} with method '{name}', which does not read it. "
            "Leave it out."
        )
    else:
        sentence = _unknown(("method", key), list(method.keys), schema)
    return ("method", key), sentence


def _is_tag(part: str | int) -> bool:
    """Whether a part of pydantic's location names the member of a union, such as "<folder>"."""
    return str(part).startswith("<")


def _family(tag: str) -> Mapping[str, type[BaseModel]]:
    """The kinds of source that a tag's is one of: those of pairs for "<pairs csv>"."""
    return _FAMILIES[tag[1:-1].rpartition(" ")[0]]


def _find(
    given: Location, tags: Sequence[str], schema: type[CommonConfig]
) -> tuple[Location, FieldInfo | None]:
    """The part of pydantic's location that the user wrote, and the field there; tags name kinds of sources."""
    if given[:2] in _SOURCES_BEGIN:
        if given[:3] == ("data", "id_test", "id_test"):  # the name that a lone test set is given
            given = (*given[:2], *given[3:])
        begin = _SOURCES_BEGIN[given[:2]]
        for outer in tags[:-1]:  # a source may hold another, under its telling key: {classification: SOURCE}
            begin = (given.index(outer[1:-1].rpartition(" ")[2], min(begin)) + 1,)
        fields = dict(_TAGGED[tags[-1]].model_fields) if tags else {}
        inside = next((depth for depth in begin if depth < len(given) and given[depth] in fields), None)
        return (given, None) if inside is None else (given[: inside + 1], fields[str(given[inside])])
    model: type[BaseModel] = schema
    for depth, part in enumerate(given, start=1):
        if str(part) not in model.model_fields:
            return given[:depth], None
        field = model.model_fields[str(part)]
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return given[:depth], field
        model = field.annotation
    return given, field if given else None


_FAMILIES: dict[str, Mapping[str, type[BaseModel]]] = {
    "": TRAIN_KINDS,
    "pairs": PAIR_TRAIN_KINDS,
    "masks": MASK_KINDS,
    "regions": REGION_KINDS,
}
_TAGGED = {
    f"<{family} {name}>".replace("< ", "<"): kind
    for family, kinds in _FAMILIES.items()
    for name, kind in {**kinds, **COPY}.items()
}

# Where in a location a source's own keys may begin.
_SOURCES_BEGIN: dict[Location, tuple[int, ...]] = {
    ("data", "train"): (2, 3),  # 3 in a list
    ("data", "id_val"): (2,),
    ("data", "id_test"): (3, 2),
    ("data", "ood"): (3,),
    ("data", "transfer"): (3,),
}


def _siblings(
    location: Location, schema: type[CommonConfig], *, kinds: Mapping[str, type[BaseModel]]
) -> list[str]:
    """The keys that may stand where an unknown one stood."""
    if location[:2] in _SOURCES_BEGIN:
        beside = {"templates"} if location[1] == "transfer" else set()
        return sorted(beside | {name for kind in kinds.values() for name in kind.model_fields})
    parent = ".".join(map(str, location[:-1]))
    return [key.rpartition(".")[2] for key in known_keys(schema) if key.rpartition(".")[0] == parent]


def _unknown(location: Location, siblings: Sequence[str], schema: type[CommonConfig]) -> str:
    """A sibling if one is near, else the same name in another section, else everything known there."""
    prefix, name = ".".join(map(str, location[:-1])), str(location[-1])
    elsewhere = [key for key in known_keys(schema) if key.rpartition(".")[2] == name]
    near = nearest(name, siblings)[:1] or elsewhere
    here = f"{prefix}.{name}".lstrip(".")
    if not near:
        return f"unknown key '{here}'. Known here: {', '.join(siblings) or 'none'}."
    full = [n if n in elsewhere or not prefix or "." in n else f"{prefix}.{n}" for n in near]
    return f"unknown key '{here}'. Did you mean {' or '.join(repr(n) for n in full)}?"


def _own_rule(problem: Mapping[str, Any]) -> str:
    return str(problem["ctx"]["error"]) if problem["type"] == "value_error" else str(problem["msg"])


def _with_value(rule: str, value: object) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    first, _, rest = rule.partition(". ")
    quotes = " Put it in quotes." if "text" in rule and isinstance(value, bool | int | float) else ""
    return f"{first.rstrip('.')}. Got {shown}.{' ' + rest if rest else ''}{quotes}"


def _words(annotation: Any, metadata: Sequence[object] = ()) -> str:
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
    if _is_list(annotation):
        return f"a list, each item {_words(get_args(annotation)[0])}"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _range(metadata)
    plain = {bool: "true or false", str: "text", NoneType: "null"}
    return plain.get(annotation, "a mapping")


def _is_list(annotation: Any) -> bool:
    origin: Any = get_origin(annotation)
    return origin is list


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
