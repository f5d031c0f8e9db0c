"""A YAML file and `key=value` overrides become one checked configuration, or one error with every mistake."""

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
from radapter.config.one_source import written_out
from radapter.config.problems import describe
from radapter.config.schema import CommonConfig
from radapter.data.source import Location
from radapter.errors import ConfigError, did_you_mean
from radapter.given_files import read_text
from radapter.schemas import check_schema
from radapter.task_list import OfEachTask

TASKS: Mapping[str, type[CommonConfig]] = OfEachTask("config")
"""The schema of each task."""
SCHEMA = 2
"""Of config.yaml in a run folder; a file that does not say it has the first."""

# Change where a run writes or how fast it is, never what it computes: it may resume with others.
_FREE = frozenset(
    {
        "out",
        "tracking",
        "train.workers",
        "train.checkpoint_every",
        "train.checkpoint_minutes",
        "train.timeout_minutes",
        "train.fsdp",
        "allow_download",
    }
)


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> CommonConfig:
    """Reads and checks a run.yaml by the schema of its task, classification where it names none.

    Relative paths in it, `out` included, are relative to the current folder, not to the file: a recipe names
    data beside the project, wherever the recipe lies.

    Args:
        path: the YAML file.
        overrides: "train.lr=1e-3", dotted keys and YAML values; later ones win.

    Raises:
        ConfigError: the file is missing or not YAML, or keys or values are wrong: every one, with its place.
    """
    return _checked(*_read(Path(path)), Path(path), overrides)


def load_stored(file: Path, overrides: Sequence[str] = ()) -> CommonConfig:
    """Reads and checks the config.yaml of a run directory, also one that an older radapter wrote.

    Raises:
        ConfigError, RunError: as `load_config`.
    """
    settings, lines = _read(file)
    return _checked(renewed(settings), lines, file, overrides)


def _checked(
    settings: dict[str, Any], lines: Mapping[Location, int], file: Path, overrides: Sequence[str]
) -> CommonConfig:
    origins: dict[Location, str] = {}
    for override in overrides:
        origins[_override(settings, override)] = f"override '{override}': "
    settings.setdefault("out", str(Path("runs") / file.stem))

    def locate(location: Location) -> str:
        """The override that set the key or its section, else its line, else that of the section that lacks it."""
        sections = [location[:end] for end in range(len(location), 0, -1)]
        named = [origins[section] for section in sections if section in origins]
        named += [f"{file}:{lines[section]}: " for section in sections if section in lines]
        return named[0] if named else f"{file}: "

    schema = _schema(settings.get("task", "classification"), locate(("task",)))
    if isinstance(settings.get("data"), dict):
        try:
            settings["data"] = written_out(settings["data"], schema)
        except ConfigError as error:
            raise ConfigError(f"{locate(('data',))}{error}") from error
    old = moved(settings) if "adapter" in settings else {}
    sentences = [f"{locate(location)}{sentence}" for location, sentence in old.items()]
    settings.pop("adapter", None)
    try:
        config = schema.model_validate(settings)
    except ValidationError as error:
        sentences += describe(error, locate, schema)
    if not sentences:
        return config
    count = f"{len(sentences)} mistakes:\n  " if len(sentences) > 1 else ""
    raise ConfigError(count + "\n  ".join(sentences))


def overridden(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides alone say, as nested mappings.

    Raises:
        ConfigError: one is not key=value, or its value no YAML.
    """
    settings: dict[str, Any] = {}
    for override in overrides:
        _override(settings, override)
    return settings


def resolved_yaml(config: CommonConfig) -> str:
    """The configuration with every default and with absolute paths, as text that `load_config` reads."""
    settings = {"schema": SCHEMA, **config.model_dump()}
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=110)


def fingerprint(config: CommonConfig) -> str:
    """SHA-256 of the settings that decide a run's outcome: equal for runs that may resume each other."""
    return hashlib.sha256(json.dumps(_deciding(config), sort_keys=True).encode()).hexdigest()


def differences(config: CommonConfig, other: CommonConfig) -> list[str]:
    """What decides the outcome and differs, as "train.lr: 0.01, there 0.001"; empty where runs may resume."""
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
        near = did_you_mean(file.name, [f.name for f in _neighbours(file)])
        raise ConfigError(f"configuration file must exist. '{file}' does not.{near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file must be readable UTF-8 text. '{file}': {error}.") from error
    try:
        root = yaml.compose(text, Loader=ConfigLoader)
        if root is None:
            raise ConfigError(
                f"{file}: is empty. 'radapter init classification --to FILE' writes one to edit."
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


def _neighbours(file: Path) -> list[Path]:
    return sorted(file.parent.glob("*.y*ml")) if file.parent.is_dir() else []


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
                f"{file}:{line}: key '{name}' stands twice, first on line {seen[name]}. Remove one."
            )
        seen[name] = line
        yield (*location, name), line
        yield from _lines(value, (*location, name), file)


def _override(settings: dict[str, Any], override: str) -> Location:
    """Puts one "dotted.key=value" into `settings`; a mapping in its way is made, a value replaced."""
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
