"""Reads a YAML file or a mapping, and overrides, as one configuration, or raises one error with all mistakes."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from radapter.config.bounded_yaml import ConfigLoader
from radapter.config.older import moved, renewed
from radapter.config.problems import SETS, describe
from radapter.config.schema import CommonConfig, CommonData
from radapter.config.sources import CorruptedCopy
from radapter.data.source import Location, written
from radapter.errors import ConfigError, did_you_mean
from radapter.given_files import read_text
from radapter.schemas import check_schema
from radapter.task_list import DEFAULT_TASK, OfEachTask

TASKS: Mapping[str, type[CommonConfig]] = OfEachTask("config")
"""The schema of each task."""
NOTHING: Mapping[str, Any] = {}
"""No settings."""
SCHEMA = 2
"""Of config.yaml in a run folder; 1 if the file does not state it."""

_OF_A_COMPARISON = {"methods", "seeds"}  # keys of comparison.yaml that no run.yaml has
# Keys that do not change what a run computes: it may resume with other values.
_FREE = {"out", "tracking", "tracking_project", "tracking_name", "allow_download"} | {
    f"train.{key}" for key in ("workers", "checkpoint_every", "checkpoint_minutes", "timeout_minutes", "fsdp")
}


def load_config(
    given: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] = NOTHING,
) -> CommonConfig:
    """Read and check the settings of a run by the schema of its task, which is classification by default.

    Relative paths in it, `out` included, are relative to the current folder, not to the file.

    Args:
        given: the path of a run.yaml, or a mapping with the same keys; paths in it may be `Path` objects.
        overrides: "train.lr=1e-3", dotted keys and YAML values; later ones win.
        settings: key -> value, applied after the overrides. A mapping sets the keys that it has in its section;
            any other value replaces the one before.

    Raises:
        ConfigError: the file is missing or not YAML, or keys or values are wrong; the message lists all with places.
    """
    if isinstance(given, Mapping):
        content = plain(given)
        check_schema(content, Path("config"), reads=(1, SCHEMA))
        content.pop("schema", None)
        return _checked(content, {}, None, overrides, settings)
    return _checked(*_read(Path(given)), Path(given), overrides, settings)


def plain(value: Any) -> Any:
    """Return a value as YAML would give it: paths as text, and any mapping or sequence as a dict or list."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else written(value)


def load_stored(file: Path, overrides: Sequence[str] = ()) -> CommonConfig:
    """Read and check the config.yaml of a run directory, also one of schema 1, or a comparison's comparison.yaml.

    Raises:
        ConfigError: as `load_config`.
        RunError: the schema is unknown.
    """
    settings, lines = _read(file)
    settings = {name: value for name, value in settings.items() if name not in _OF_A_COMPARISON}
    return _checked(renewed(settings), lines, file, overrides)


def _checked(
    settings: dict[str, Any],
    lines: Mapping[Location, int],
    file: Path | None,
    overrides: Sequence[str],
    replaced: Mapping[str, Any] = NOTHING,
) -> CommonConfig:
    origins: dict[Location, str] = {}
    for override in overrides:
        origins[_override(settings, override)] = f"override '{override}': "
    for key, value in replaced.items():
        for location in _replace(settings, key, plain(value)):
            origins[location] = "" if file is None else f"argument {'.'.join(location)}: "
    settings.setdefault("out", str(Path("runs") / ("run" if file is None else file.stem)))

    def locate(location: Location) -> str:
        """The override that set the key or its section, else its line, else that of the section that lacks it."""
        sections = [location[:end] for end in range(len(location), 0, -1)]
        named = [origins[section] for section in sections if section in origins]
        named += [f"{file}:{lines[section]}: " for section in sections if section in lines]
        return named[0] if named else "" if file is None else f"{file}: "

    schema = _schema(settings.get("task", DEFAULT_TASK), locate(("task",)))
    one_source = False
    if isinstance(settings.get("data"), dict):
        given = settings["data"]
        try:
            settings["data"] = _written_out(given, schema)
        except ConfigError as error:
            raise ConfigError(f"{locate(('data',))}{error}") from error
        one_source = "train" in settings["data"] and "train" not in given
    old = moved(settings) if "adapter" in settings else {}
    sentences = [f"{locate(location)}{sentence}" for location, sentence in old.items()]
    settings.pop("adapter", None)
    try:
        config = schema.model_validate(settings)
    except ValidationError as error:
        sentences += describe(error, locate, schema, one_source=one_source)
    if not sentences:
        return config
    count = f"{len(sentences)} mistakes:\n  " if len(sentences) > 1 else ""
    raise ConfigError(count + "\n  ".join(sentences))


def _written_out(data: Mapping[str, Any], schema: type[CommonConfig]) -> dict[str, Any]:
    """The section `data` with a source for all sets, as in `data: {folder: photos}`, replaced by its sets."""
    section = schema.model_fields["data"].annotation
    assert isinstance(section, type)
    assert issubclass(section, CommonData)
    named = [kind for kind in section.source_kinds if kind is not CorruptedCopy and kind.key() in data]
    given_kinds = [kind.key() for kind in named if data[kind.key()] is not None]
    if data.get("stream") is not None:
        raise ConfigError(
            "a stream is for data.train alone: its images are not listed, so it cannot be cut. Give "
            "data.train: {stream: FOLDER}, and other sources for data.id_val and data.id_test."
        )
    if not given_kinds:
        return dict(data)
    kind = given_kinds[0]
    given = [name for name in SETS if data.get(name) is not None]
    if given:
        raise ConfigError(
            f"data.{kind} is one source for all sets. Got it beside data.{given[0]}. Remove one of the two."
        )
    if data.get("part") is not None:
        raise ConfigError(
            f"data.{kind} is cut into training, validation and test by content. Got data.part too. Leave it out, or "
            "give data.train, data.id_val and data.id_test."
        )
    keys = {"stream", *(key for other in named for key in other.model_fields)}
    for key in data:
        if key not in keys and key not in section.model_fields:
            known = (*keys, *section.model_fields)
            raise ConfigError(f"unknown key 'data.{key}' beside data.{kind}.{did_you_mean(str(key), known)}")
    source = {key: value for key, value in data.items() if key in keys and value is not None}
    others = {key: value for key, value in data.items() if key not in keys and key not in SETS}
    return {**section.divided(source), **others}


def overridden(overrides: Sequence[str]) -> dict[str, Any]:
    """Return overrides as nested mappings. Raises ConfigError if one is not key=value or its value not YAML."""
    settings: dict[str, Any] = {}
    for override in overrides:
        _override(settings, override)
    return settings


def resolved_yaml(config: CommonConfig) -> str:
    """Return the configuration with every default and absolute paths, as text that `load_config` reads."""
    settings = {"schema": SCHEMA, **config.model_dump()}
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=110)


def fingerprint(config: CommonConfig) -> str:
    """Return the SHA-256 of the settings that decide a run's outcome; runs may resume if it is equal."""
    return hashlib.sha256(json.dumps(_deciding(config), sort_keys=True).encode()).hexdigest()


def differences(config: CommonConfig, other: CommonConfig) -> list[str]:
    """Return the differing settings that decide the outcome, as "train.lr: 0.01, there 0.001"."""
    here, there = _deciding(config), _deciding(other)
    keys = [*here, *(k for k in there if k not in here)]
    return [f"{k}: {here.get(k)}, there {there.get(k)}" for k in keys if here.get(k) != there.get(k)]


def _deciding(config: CommonConfig) -> dict[str, Any]:
    settings = config.model_dump(exclude={"compare"})  # a training does not read it
    return {k: v for k, v in _flat(settings, "") if k not in _FREE}


def _flat(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield prefix + key, item


def _schema(task: object, place: str) -> type[CommonConfig]:
    if not isinstance(task, str) or task not in TASKS:
        raise ConfigError(
            f"{place}task must be one of {', '.join(map(repr, TASKS))}. Got {task!r}."
            f"{did_you_mean(str(task), TASKS)}"
        )
    return TASKS[task]


def _read(file: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The settings and the line of each key."""
    try:
        text = read_text(file)
    except (FileNotFoundError, NotADirectoryError):
        folder = file.parent
        near = did_you_mean(
            file.name, sorted(f.name for f in folder.glob("*.y*ml")) if folder.is_dir() else []
        )
        raise ConfigError(f"configuration file must exist. '{file}' does not.{near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file must be readable UTF-8 text. '{file}': {error}.") from error
    try:
        root = yaml.compose(text, Loader=ConfigLoader)
        if root is None:
            raise ConfigError(
                f"{file}: is empty. 'radapter init classification --out FILE' writes one to edit."
            )
        lines = dict(_lines(root, (), file))
        settings = yaml.load(text, Loader=ConfigLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}.") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{file}: must be a mapping of keys to values. Got {type(settings).__name__}.")
    check_schema(settings, file, reads=(1, SCHEMA))
    settings.pop("schema", None)
    return settings, lines


def _lines(node: yaml.Node, location: Location, file: Path) -> Iterator[tuple[Location, int]]:
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield (*location, place), item.start_mark.line + 1
            yield from _lines(item, (*location, place), file)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in seen and name != "<<":
            raise ConfigError(
                f"{file}:{line}: key '{name}' is repeated, first on line {seen[name]}. Remove one."
            )
        seen[name] = line
        yield (*location, name), line
        yield from _lines(value, (*location, name), file)


def _replace(settings: dict[str, Any], key: str, value: Any) -> list[tuple[str, ...]]:
    """Sets a key, or the keys of its section that `value` has, and returns their locations."""
    before = settings.get(key)
    is_section = isinstance(value, dict) and key != "method"  # which is replaced with its settings
    if is_section and isinstance(before, dict):
        settings[key] = {**before, **value}
        return [(key, str(name)) for name in value]
    settings[key] = value
    return [(key,)]


def _override(settings: dict[str, Any], override: str) -> Location:
    """Sets one "dotted.key=value" in `settings` and returns its location; missing sections are added."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override must be key=value, such as train.lr=1e-3. Got '{override}'.")
    try:
        value = yaml.load(text, Loader=ConfigLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{override}': the value must be YAML. Put it in quotes.") from error
    if parts[0] == "method" and isinstance(settings.get("method"), str):
        settings["method"] = {"name": settings["method"]}
    for part in parts[:-1]:
        inner = settings.get(part)
        settings[part] = dict(inner) if isinstance(inner, dict) else {}
        settings = settings[part]
    settings[parts[-1]] = value
    return tuple(parts)
