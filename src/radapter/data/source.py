"""A source of data, as run.yaml and Python callers give it: a path, or a mapping in which one key selects the kind.

Each kind is one class: its fields are the keys of the mapping, and its method `read` opens it. A task has one list
of such classes. `source_type` makes the annotation from it that run.yaml and Python callers are checked with.
"""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
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

from radapter.data.paths import absolute, with_absolute_paths
from radapter.data.pictures.bad_images import MAX_BAD
from radapter.data.pictures.corruptions import check_corruption
from radapter.data.pictures.decoding import MAX_PIXELS, check_max_pixels
from radapter.data.splits import Progress
from radapter.data.wording import Accepts, sentence_of
from radapter.errors import ConfigError, did_you_mean, nearest

Location = tuple[str | int, ...]
_PART = "[low, high) with 0 <= low < high <= 1"
_CORRUPTION = "{type: a corruption, severity: 1 to 5, seed: 0}"


@dataclass(frozen=True)
class Reading:
    """How a source is read.

    Attributes:
        max_pixels: larger images are refused from their header.
        max_bad: fraction of the images that may be unreadable.
        allow_download: whether the hub may be asked.
        progress: called with (done, all) while contents are hashed.

    Raises:
        ConfigError: max_pixels is out of range.
    """

    max_pixels: int = MAX_PIXELS
    max_bad: float = MAX_BAD
    allow_download: bool = False
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_max_pixels(self.max_pixels)


DEFAULT = Reading()


class Source(BaseModel):
    """One kind of source; the first field that its class declares is the key that selects it.

    suffixes: of files that are of this kind where a path stands alone.
    changes: keys that only change what another key does, and that key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    suffixes: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[Mapping[str, str]] = {"split_seed": "part"}

    @classmethod
    def key(cls) -> str:
        """The key that selects this kind."""
        return next(name for name in inspect.get_annotations(cls) if name in cls.model_fields)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path that stands alone is of this kind."""
        return path.suffix.lower() in cls.suffixes

    def listing(self) -> tuple[Path, Path] | None:
        """The folder where the names of a table start that a user wrote, and the table; None for other kinds."""
        return None

    def given(self) -> dict[str, Any]:
        """The keys that were given and their values, as run.yaml had them."""
        return {key: written(getattr(self, key)) for key in self._given_keys()}

    def replaced(self, **changes: Any) -> Self:
        """The same source with other values of some keys."""
        return type(self).model_validate({key: getattr(self, key) for key in self._given_keys()} | changes)

    def _given_keys(self) -> list[str]:
        return [key for key in type(self).model_fields if key in self.model_fields_set]

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        """Tuples and mappings of Python callers as YAML has them; null is the default where it is no value."""
        if not isinstance(value, Mapping):
            return value
        fields = cls.model_fields
        return {
            key: list(of) if isinstance(of, tuple) else dict(of) if isinstance(of, Mapping) else of
            for key, of in value.items()
            if of is not None or key not in fields or (fields[key].default is None)
        }

    @model_validator(mode="after")
    def _no_key_is_ignored(self) -> Self:
        for key, other in self.changes.items():
            if key in self.model_fields_set and getattr(self, other) is None:
                raise ConfigError(f"{key} changes only what {other} takes. Give {other}, or leave {key} out.")
        return self

    @model_serializer(mode="wrap")
    def _stored(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The keys that were given, with absolute paths: a run can be used from every folder."""
        values = dump(self)
        return with_absolute_paths({key: values[key] for key in self._given_keys()}, type(self).model_fields)


Spec = str | Mapping[str, Any] | Source
"""What callers may give for a source."""
AnySource = TypeVar("AnySource", bound=Source)
Kinds = Sequence[type[AnySource]]


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
    """The check of a text that is one of these names; its message proposes the nearest."""

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
"""What `part` does to any source."""
OTHER_PART = "another number gives another, independent part"
"""What `split_seed` does to any source."""
CORRUPTED = "one of 15 corruptions, or mixed, which draws one for each image, applied when the image is read"
"""What `corrupt` does to any source."""


def source_type(kinds: Kinds[Source], *, words: str, may_be_path: bool = True) -> Any:
    """The annotation of a source: a path, or a mapping with exactly one of the keys that select a kind.

    A mapping becomes an object of its kind. A path stays text, since only the disk tells its kind.

    Args:
        kinds: of the task.
        words: for the documentation, such as "a source of pairs".
        may_be_path: whether a path alone says what it is.
    """

    def tag_of(value: object) -> str | None:
        """The tag of the kind that a value selects; None where it selects none, or several."""
        if isinstance(value, Source):
            return _tag(type(value))
        if isinstance(value, str) and may_be_path:
            return "<path>"
        told = _selected(value, kinds) if isinstance(value, Mapping) else []
        # beside {folder: ...}, `corrupt` is an option; alone it is a kind
        alone = [
            kind for kind in told if kind.key() not in keys_of([other for other in told if other != kind])
        ]
        return _tag(alone[0]) if len(alone) == 1 else None

    def plain(value: object) -> object:
        """Without the keys of other kinds that are null."""
        if isinstance(value, Mapping):
            unused = {kind.key() for kind in kinds} - keys_of(_selected(value, kinds))
            value = {key: of for key, of in value.items() if of is not None or key not in unused}
        if tag_of(value) is None:
            names = [kind.key() for kind in kinds]
            near = []
            if isinstance(value, Mapping) and not any(name in value for name in names):
                near = [did_you_mean(str(key), names) for key in value]
            raise ValueError(
                f"must be {'a path or ' if may_be_path else ''}a mapping with exactly one of the keys "
                f"{', '.join(map(repr, names))}.{''.join(near)}"
            )
        return value

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
    """A source that a Python caller or the command line gave, as `source_type` has it.

    Raises:
        ConfigError: it is none: every mistake, with its key.
    """
    try:
        return adapter.validate_python(spec)
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(_sentences(error)))) from None


def kind_of(path: Path, kinds: Kinds[AnySource]) -> type[AnySource] | None:
    """The kind of a path that stands alone; None where nothing tells. A folder's content comes before its suffix."""
    in_order = sorted(kinds, key=lambda kind: bool(kind.suffixes))
    return next((kind for kind in in_order if kind.recognises(path)), None)


def keys_of(kinds: Kinds[Source]) -> set[str]:
    """Every key that one of these kinds takes."""
    return {name for kind in kinds for name in kind.model_fields}


def is_source(value: object, kinds: Kinds[Source], *, may_be_path: bool = True) -> bool:
    """Whether `value` is one source of these kinds, rather than a mapping of names to sources."""
    if isinstance(value, Mapping):
        return any(kind.key() in value for kind in kinds)
    return isinstance(value, Source) or (may_be_path and isinstance(value, str))


def written(value: Any) -> Any:
    """Sources as run.yaml has them, in lists and mappings too: paths, and mappings of the keys that were given."""
    if isinstance(value, list):
        return [written(item) for item in value]
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    return value.given() if isinstance(value, Source) else value


def stored(value: str | Source) -> str | dict[str, Any]:
    """A source with absolute paths, as the config.yaml of a run has it."""
    return absolute(value) if isinstance(value, str) else value.model_dump()


def in_kind(location: Location) -> tuple[Location, type[Source] | None]:
    """Where pydantic found a mistake, as the user wrote it, and the innermost source that it is in, None for none.

    Of what stands inside the source, its key remains.
    """
    tags = [place for place, part in enumerate(location) if _is_tag(part)]
    kind = None if not tags else next((k for k in _all_kinds(Source) if _tag(k) == location[tags[-1]]), None)
    shown = location if kind is None else location[: tags[-1] + 2]
    return tuple(part for part in shown if not _is_tag(part)), kind


def _all_kinds(kind: type[Source]) -> Iterator[type[Source]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_kinds(below)


def _tag(kind: type[Source]) -> str:
    """The name of a member of the union in pydantic's locations."""
    return f"<{kind.__module__}.{kind.__qualname__}>"


def _is_tag(part: str | int) -> bool:
    return str(part).startswith("<")


def _selected(value: Mapping[Any, Any], kinds: Kinds[Source]) -> list[type[Source]]:
    return [kind for kind in kinds if value.get(kind.key()) is not None]


def _sentences(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        location, kind = in_kind(problem["loc"])
        key = ".".join(map(str, location))
        if kind is not None and problem["type"] == "extra_forbidden":
            yield unknown_key(key, kind)
        else:
            yield sentence_of(
                problem, key, kind.model_fields.get(str(location[-1])) if kind and location else None
            )


def unknown_key(
    key: str, kind: type[Source], *, beside: Sequence[str] = (), elsewhere: Sequence[str] = ()
) -> str:
    """What is said of a key that a kind of source does not take.

    Args:
        key: dotted, as the user wrote it.
        kind: of the source.
        beside: keys that may stand with its own.
        elsewhere: dotted keys of the same name outside of sources.
    """
    prefix, _, name = key.rpartition(".")
    known = [*kind.model_fields, *beside]
    near = [f"{prefix}.{each}".lstrip(".") for each in nearest(name, known)[:1]] or elsewhere
    if not near:
        return f"unknown key '{key}'. A {kind.key()} source takes {', '.join(known)}."
    return f"unknown key '{key}'. Did you mean {' or '.join(repr(each) for each in near)}?"
