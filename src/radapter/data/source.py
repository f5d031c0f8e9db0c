"""A source of data, in run.yaml and in Python: a path, or a mapping in which one key selects the kind.

Each kind is one class: its fields are the keys of the mapping, and its method `read` opens it. Each task has one
list of these classes. `source_type` turns the list into the annotation that checks run.yaml and Python callers.
"""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NotRequired, Self, TypeVar, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    Tag,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)
from typing_extensions import TypedDict

from radapter.data.images.bad_images import MAX_BAD
from radapter.data.images.corruptions import check_corruption
from radapter.data.images.decoding import MAX_PIXELS, check_max_pixels
from radapter.data.paths import absolute, with_absolute_paths
from radapter.data.splits import Progress
from radapter.data.wording import Accepts, sentence_of
from radapter.errors import ConfigError, did_you_mean, nearest

Location = tuple[str | int, ...]
_PART = "[low, high) with 0 <= low < high <= 1"
_CORRUPTION = "{type: a corruption, severity: 1 to 5, seed: 0}"


@dataclass(frozen=True)
class Reading:
    """How a source is read; raises ConfigError if `max_pixels` is out of range.

    Images of more pixels are refused, and `max_bad` is the fraction of the images that may be unreadable. `progress`
    is called with (done, total) while contents are hashed.
    """

    max_pixels: int = MAX_PIXELS
    max_bad: float = MAX_BAD
    allow_download: bool = False
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_max_pixels(self.max_pixels)


DEFAULT = Reading()


class Source(BaseModel):
    """One kind of source. The first field that its class declares is the key that selects it.

    `suffixes` select the kind for a path alone. `changes` maps keys that only modify another key to that key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    suffixes: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[Mapping[str, str]] = {"split_seed": "part"}

    @classmethod
    def key(cls) -> str:
        """The key that selects this kind."""
        names = (name for base in cls.__mro__ for name in inspect.get_annotations(base))
        return next(name for name in names if name in cls.model_fields)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path alone is of this kind."""
        return path.suffix.lower() in cls.suffixes

    def listing(self) -> tuple[Path, Path] | None:
        """For tables that the user writes: the folder where relative image paths start, and the table."""
        return None

    def given(self) -> dict[str, Any]:
        """The given keys and their values, as in run.yaml."""
        return {key: written(getattr(self, key)) for key in self._given_keys()}

    def replaced(self, **changes: Any) -> Self:
        """The same source with other values for some keys."""
        return type(self).model_validate({key: getattr(self, key) for key in self._given_keys()} | changes)

    def _given_keys(self) -> list[str]:
        return [key for key in type(self).model_fields if key in self.model_fields_set]

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        """Turns tuples and mappings into what YAML gives; null means the default unless it is a value."""
        if not isinstance(value, Mapping):
            return value
        fields = cls.model_fields
        return {
            key: list(of) if isinstance(of, tuple) else dict(of) if isinstance(of, Mapping) else of
            for key, of in value.items()
            if of is not None or key not in fields or fields[key].default is None
        }

    @model_validator(mode="after")
    def _no_key_is_ignored(self) -> Self:
        for key, other in self.changes.items():
            if key in self.model_fields_set and getattr(self, other) is None:
                raise ConfigError(f"{key} changes only what {other} takes. Give {other}, or leave {key} out.")
        return self

    @model_serializer(mode="wrap")
    def _stored(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The given keys, with absolute paths: a run can be used from every folder."""
        values = dump(self)
        return with_absolute_paths({key: values[key] for key in self._given_keys()}, type(self).model_fields)


Spec = str | Mapping[str, Any] | Source
"""A source as callers may give it."""
AnySource = TypeVar("AnySource", bound=Source)
Kinds = Sequence[type[AnySource]]
_BY_TAG: dict[str, type[Source]] = {}  # filled by `source_type`


def _interval(value: object) -> object:
    if isinstance(value, (list, tuple)) and len(value) == 2 and not any(isinstance(v, bool) for v in value):
        low, high = value
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and 0 <= low < high <= 1:
            return (float(low), float(high))
    raise ValueError(f"must be {_PART}")


def _corruption(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"must be {_CORRUPTION}; seed may be left out")
    check_corruption(value)
    return value


def among(names: Collection[str]) -> AfterValidator:
    """Checks that a text is one of these names; its message proposes the nearest."""

    def known(name: str) -> str:
        if name not in names:
            raise ValueError(f"must be one of {', '.join(names)}.{did_you_mean(name, names)}")
        return name

    return AfterValidator(known)


Part = Annotated[tuple[float, float], PlainValidator(_interval), Accepts(_PART)]


class _Corruption(TypedDict):
    type: str
    severity: int
    seed: NotRequired[int]


Corruption = Annotated[_Corruption, PlainValidator(_corruption), Accepts(_CORRUPTION)]
IN_PART = (
    "keep the images whose content hash, as a fraction of its range, lies in [low, high): a split that does not "
    "move when files are added"
)
OTHER_PART = "another number gives another, independent part"
CORRUPTED = "one of 15 corruptions, or mixed, which draws one for each image, applied when the image is read"
"""`IN_PART`, `OTHER_PART`, `CORRUPTED`: the descriptions of part, split_seed and corrupt."""


def source_type(kinds: Kinds[Source], *, words: str, may_be_path: bool = True) -> Any:
    """The annotation of a source: a path (if allowed), or a mapping with exactly one key that selects a kind.

    A mapping becomes an object of its kind. A path stays text, since its kind depends on the disk. `words` describe
    the source in the documentation, such as "a source of pairs".
    """

    def tag_of(value: object) -> str | None:
        """The tag of the kind that a value selects; None if it selects none, or several."""
        if isinstance(value, Source):
            return _tag(type(value))
        if isinstance(value, str) and may_be_path:
            return "<path>"
        found = _selected(value, kinds) if isinstance(value, Mapping) else []
        # beside {folder: ...}, `corrupt` is an option; alone it is a kind
        alone = [kind for kind in found if kind.key() not in keys_of([k for k in found if k != kind])]
        return _tag(alone[0]) if len(alone) == 1 else None

    def plain(value: object) -> object:
        """Removes the keys of other kinds that are null."""
        if isinstance(value, Mapping):
            unused = {kind.key() for kind in kinds} - keys_of(_selected(value, kinds))
            value = {key: of for key, of in value.items() if of is not None or key not in unused}
        if tag_of(value) is None:
            names = [kind.key() for kind in kinds]
            mistaken = value if isinstance(value, Mapping) and not value.keys() & set(names) else {}
            raise ValueError(
                f"must be {'a path or ' if may_be_path else ''}a mapping with exactly one of the keys "
                f"{', '.join(map(repr, names))}.{''.join(did_you_mean(str(key), names) for key in mistaken)}"
            )
        return value

    _BY_TAG.update({_tag(kind): kind for kind in kinds})
    # Some versions of pydantic refuse a Discriminator over one type. `plain` never lets None through.
    other = Annotated[str, Tag("<path>")] if may_be_path else Annotated[None, Tag("<none>")]
    return Annotated[
        Union[other, *(Annotated[kind, Tag(_tag(kind))] for kind in kinds)],
        Discriminator(tag_of),
        BeforeValidator(plain),
        PlainSerializer(stored),
        Accepts(words),
    ]


def checked(spec: object, adapter: TypeAdapter[Any]) -> Any:
    """Validates a source from Python or the command line; raises ConfigError that lists every mistake."""
    try:
        return adapter.validate_python(spec)
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(map(_sentence, error.errors(include_url=False))))) from None


def kind_of(path: Path, kinds: Kinds[AnySource]) -> type[AnySource] | None:
    """The kind of a path alone, if it can be recognised. A folder's content counts before its suffix."""
    in_order = sorted(kinds, key=lambda kind: bool(kind.suffixes))
    return next((kind for kind in in_order if kind.recognises(path)), None)


def keys_of(kinds: Kinds[Source]) -> set[str]:
    """All keys that one of these kinds takes."""
    return {name for kind in kinds for name in kind.model_fields}


def is_source(value: object, kinds: Kinds[Source], *, may_be_path: bool = True) -> bool:
    """Whether `value` is one source of these kinds, rather than a mapping of names to sources."""
    if isinstance(value, Mapping):
        return any(kind.key() in value for kind in kinds)
    return isinstance(value, Source) or (may_be_path and isinstance(value, str))


def written(value: Any) -> Any:
    """Turns sources into paths and mappings of the given keys, as in run.yaml; also inside lists and mappings."""
    if isinstance(value, list):
        return [written(item) for item in value]
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    return value.given() if isinstance(value, Source) else value


def stored(value: str | Source) -> str | dict[str, Any]:
    """A source with absolute paths, as in the config.yaml of a run."""
    return absolute(value) if isinstance(value, str) else value.model_dump()


def in_kind(location: Location) -> tuple[Location, type[Source] | None]:
    """Turns a location of pydantic into the user's keys, down to the key of the innermost source, and its kind."""
    tags = [depth for depth, part in enumerate(location) if str(part).startswith("<")]
    kind = _BY_TAG.get(str(location[tags[-1]])) if tags else None
    shown = location if kind is None else location[: tags[-1] + 2]
    return tuple(part for part in shown if not str(part).startswith("<")), kind


def _tag(kind: type[Source]) -> str:
    """The name of a kind in pydantic's locations."""
    return f"<{kind.__module__}.{kind.__qualname__}>"


def _selected(value: Mapping[Any, Any], kinds: Kinds[Source]) -> list[type[Source]]:
    return [kind for kind in kinds if value.get(kind.key()) is not None]


def _sentence(problem: Mapping[str, Any]) -> str:
    location, kind = in_kind(problem["loc"])
    key = ".".join(map(str, location))
    if kind is not None and problem["type"] == "extra_forbidden":
        return unknown_key(key, kind)
    return sentence_of(problem, key, kind.model_fields.get(str(location[-1])) if kind and location else None)


def unknown_key(
    key: str, kind: type[Source], *, beside: Sequence[str] = (), elsewhere: Sequence[str] = ()
) -> str:
    """The message for a key (dotted) that a kind of source does not take.

    `beside` are further allowed keys; `elsewhere` are dotted keys of the same name outside of sources.
    """
    prefix, _, name = key.rpartition(".")
    known = [*kind.model_fields, *beside]
    near = [f"{prefix}.{each}".lstrip(".") for each in nearest(name, known)[:1]] or elsewhere
    if not near:
        return f"unknown key '{key}'. A {kind.key()} source takes {', '.join(known)}."
    return f"unknown key '{key}'. Did you mean {' or '.join(repr(each) for each in near)}?"
