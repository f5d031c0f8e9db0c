"""A model's directory, which may come from anyone, and the hub: its local cache, the network only if allowed.

Libraries trust the configuration of a directory. This file checks it before they read it, compares it with the
weights before memory is allocated, and turns whatever a library raises into one error that names the file.
"""

import itertools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from huggingface_hub import errors as hub_errors
from torch import Tensor, nn
from torch.nn.modules import module as registration

from radapter.errors import DamagedError, ModelError, RAdapterError
from radapter.storage import read_json

ALLOWING = (
    "Allow downloads by allow_download: true in run.yaml, --allow-download on the command line or "
    "allow_download=True in Python"
)
_SMALL_FILES = ("*.json", "*.txt", "*.model")
_SUBFOLDERS = "*/*"
_ABSENT = (hub_errors.HfHubHTTPError, hub_errors.HFValidationError, OSError, ValueError)
LARGEST_NUMBER = 10_000_000  # in a configuration; a list of so many numbers still fits in memory
LARGEST_SIDE = 8192  # of an image that a model or its preparation of images may ask for, in pixels
LARGEST_TEXT_FILE = 256 * 2**20  # bytes; the largest tokenizers have 35 MB
_TEXT_FILES = {".json", ".txt", ".jinja"}
_READ = {*_TEXT_FILES, ".safetensors", ".bin", ".model"}
PREFIXES = ("module.", "_orig_mod.", "model.", "clip.")  # of wrappers, torch.compile, and larger programs
# A float16 file has half a number for each byte; an encoder that was saved without its decoder is built with it.
_NUMBERS_PER_BYTE, _SPARE_NUMBERS = 4, 10_000_000
_MODULES_PER_TENSOR, _SPARE_MODULES = 20, 10_000
_PLACE = re.compile(r"(hf[-_]hub|local-dir):", re.IGNORECASE)
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """A block in which a library reads `place` and cannot ask the hub. Raises ModelError for all that it raises."""
    try:
        with offline():
            yield
    except DamagedError as error:
        raise ModelError(str(error)) from error
    except (RAdapterError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of a library in Rust is no Exception
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        raise ModelError(f"'{place}' cannot be used. {reason} Correct it or copy it again.") from error


def check_folder(folder: Path) -> None:
    """Raises ModelError if a model's file is a link that leaves its directory, no regular file, or a huge text."""
    root = folder.resolve()
    if root.parent.name == "snapshots":  # the hub's cache: files are links into a directory beside it
        root = root.parents[1]
    for file in sorted(folder.iterdir()):
        if file.suffix not in _READ or file.is_dir():
            continue
        if not file.resolve().is_relative_to(root):
            place = f"'{file}' is a link to '{file.resolve()}'"
            raise ModelError(f"files of a model must lie in its directory. {place}. Copy the file there.")
        if not file.is_file():
            raise ModelError(f"files of a model must be regular files. '{file}' is not one. Remove it.")
        if file.suffix in _TEXT_FILES and (size := file.stat().st_size) > LARGEST_TEXT_FILE:
            raise ModelError(f"'{file}' must have at most {LARGEST_TEXT_FILE} bytes, got {size}.")


def read_config(file: Path, *, largest: float = LARGEST_NUMBER) -> dict[str, Any]:
    """Reads a JSON object. Raises ModelError for other files, numbers above `largest`, and references elsewhere."""
    with reading(file):
        value = read_json(file)
        if not isinstance(value, dict):
            raise ModelError(f"'{file}' must hold a JSON object, got {type(value).__name__}. Copy it again.")
        for key, found in _values(value, ""):
            if isinstance(found, int | float) and not abs(found) <= largest:
                raise ModelError(f"{key} in '{file}' must be finite and at most {largest:g}, got {found}.")
            is_path = isinstance(found, str) and "/" in found and key.endswith("attn_implementation")
            if is_path or (isinstance(found, str) and _PLACE.match(found)):
                raise ModelError(f"{key} in '{file}' must be built into the library, got '{found}'.")
        return value


def table_of(config: dict[str, Any], key: str, file: Path) -> dict[str, Any]:
    """The object at `key` of a configuration. Raises ModelError if there is none."""
    found = config.get(key)
    if not isinstance(found, dict):
        raise ModelError(f"{key} in '{file}' must be an object, got {found!r}. Copy the directory again.")
    return found


def check_hub_name(key: str, name: object, file: Path) -> None:
    """Raises ModelError unless a value names a repository of the hub and neither a path nor another place."""
    if not isinstance(name, str) or not _HUB_NAME.fullmatch(name) or ".." in name:
        raise ModelError(f"{key} in '{file}' must be a hub name such as 'owner/name', got {name!r}.")


def shards_of(index: Path) -> list[Path]:
    """The weights files that an index lists. Raises ModelError if one is not beside it, or the file is no index."""
    names = table_of(read_config(index, largest=math.inf), "weight_map", index).values()
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or re.search(r"[/\\:\0]", name):
            raise ModelError(f"weight_map in '{index}' must name files beside it, got {name!r}.")
    return [index.parent / name for name in sorted(set(names))]


def _values(value: object, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            yield from _values(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def described(build: Callable[[], nn.Module], config: Path, weights: Mapping[str, Tensor]) -> nn.Module:
    """Builds a module on the meta device, without memory. Raises ModelError if it is too large for these weights."""
    with reading(config), torch.device("meta"), _bounded(weights, config):
        return build()


def without_prefixes(weights: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Strips those of `PREFIXES` that all weights share, unless the model's own `names` are among them."""
    found = dict(weights)
    while found and found.keys().isdisjoint(names):
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in found)), None)
        if prefix is None:
            break
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def prefix_note(names: Collection[str]) -> str:
    """A sentence, with a leading space, about the prefix that all names share; empty if they share none."""
    paths = [name.split(".")[:-1] for name in names]
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    prefix = ".".join(part for part, *_ in shared)
    return f" All its names start with '{prefix}.': save the weights without it." if prefix else ""


@contextmanager
def _bounded(weights: Mapping[str, Tensor], config: Path) -> Iterator[None]:
    stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in weights.values()}
    size = sum(storage.nbytes() for storage in stored.values())
    left = {
        "numbers": _SPARE_NUMBERS + _NUMBERS_PER_BYTE * size,
        "modules": _SPARE_MODULES + _MODULES_PER_TENSOR * len(weights),
    }

    def take(kind: str, count: int) -> None:
        left[kind] -= count
        if left[kind] < 0:
            raise ModelError(
                f"'{config}' must fit its {len(weights)} tensors of {size:,} bytes, got more {kind} than they can "
                "hold. Correct the sizes there, or copy the directory again."
            )

    def on_tensor(_: nn.Module, __: str, tensor: Tensor | None) -> None:
        take("numbers", 0 if tensor is None else tensor.numel())

    def on_module(_: nn.Module, __: str, ___: nn.Module | None) -> None:
        take("modules", 1)

    with (
        registration.register_module_parameter_registration_hook(on_tensor),
        registration.register_module_buffer_registration_hook(on_tensor),
        registration.register_module_module_registration_hook(on_module),
    ):  # each hook is removed at the end
        yield


@contextmanager
def offline() -> Iterator[None]:
    """A block in which the hub's client, which other libraries call, makes no request."""
    was_offline = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = was_offline


def folder_of(
    repository: str, weights: Callable[[Path], Sequence[Sequence[str]]], *, allow_download: bool
) -> Path:
    """The folder of a model on the hub, cached or, if allowed, downloaded. Raises ModelError if it is not there.

    `weights` maps a folder with the configuration to groups of patterns of weights files; only the first group of
    which the repository has a file is downloaded.
    """
    folder = _snapshot(repository, _SMALL_FILES, allow_download)
    for patterns in weights(folder) if allow_download else ():
        folder = _snapshot(repository, (*_SMALL_FILES, *patterns), allow_download)
        if any(file for pattern in patterns for file in folder.glob(pattern)):
            break
    return folder


def file_of(repository: str, names: Sequence[str], *, allow_download: bool) -> Path:
    """The first of `names` that a hub repository has. Raises ModelError if none is cached or can be downloaded."""
    failure: Exception | None = None
    for name in names:
        # The hub's own hf_hub_download asks the network who calls it, even for local files only.
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
        if allow_download:
            try:
                return Path(huggingface_hub.hf_hub_download(repository, name))
            except _ABSENT as error:
                failure = error
                if isinstance(error, hub_errors.LocalEntryNotFoundError):
                    break  # the hub was not reached: another name would wait as long
    raise _missing(repository, f" for {' or '.join(names)}", allow_download, failure) from failure


def _snapshot(repository: str, patterns: Sequence[str], allow_download: bool) -> Path:
    try:
        found = huggingface_hub.snapshot_download(
            repository,
            allow_patterns=list(patterns),
            ignore_patterns=[_SUBFOLDERS],
            local_files_only=not allow_download,
        )
        return Path(found)
    except _ABSENT as error:
        raise _missing(repository, "", allow_download, error) from error


def _missing(repository: str, files: str, allow_download: bool, error: Exception | None) -> ModelError:
    if allow_download:
        return ModelError(f"'{repository}' cannot be downloaded: {error}. Check name and network.")
    return ModelError(
        f"'{repository}' must be in the local hub cache{files}, because downloads are not allowed. {ALLOWING}, or "
        "download it once with 'hf download' and try again."
    )
