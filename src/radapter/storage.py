"""Files and folders that are whole or absent, and weights that are read without running code.

A folder is written beside its place, flushed to disk and renamed into it, so that a reader never sees half of
one and a crash leaves the old one. Its manifest holds the SHA-256 of every file, so that damage is noticed.
"""

import hashlib
import json
import os
import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from radapter.errors import DamagedError, ModelError, RunError, UnsafeFileError

MANIFEST = "manifest.json"


@contextmanager
def whole_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Yields a new folder beside `path` that takes its place when the block ends without an error.

    Args:
        path: where the folder shall be.
        replace: whether an existing folder may be replaced.

    Raises:
        RunError: `path` exists and `replace` is False; nothing is written.
    """
    target = Path(path).absolute()
    if target.exists() and not replace:
        raise RunError(f"output folder must not exist. '{path}' does. Give another folder or remove it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    draft.chmod(0o755)  # mkdtemp's 0o700 would keep a shared folder's other readers out
    try:
        yield draft
        for file in sorted(draft.rglob("*")):
            _flush(file)
        _flush(draft)
        if target.exists():
            # A rename cannot replace a folder that has files: the old one steps aside first and goes last.
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
            target.rename(old / target.name)
            draft.rename(target)
            shutil.rmtree(old)
        else:
            draft.rename(target)
        _flush(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file whole: a reader sees the old or the new content, never a part."""
    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as draft:
        draft.write(text)
        draft.flush()
        os.fsync(draft.fileno())
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(target)
    _flush(target.parent)


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes `value` as indented JSON, whole. Raises ValueError for NaN and infinity, which JSON lacks."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file.

    Raises:
        DamagedError: the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"'{path}' must be JSON. {error}. Write it again or remove it.") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Writes `manifest.json`, the SHA-256 of every other file below `folder`, and returns it."""
    root = Path(folder)
    hashes = {str(f.relative_to(root)): sha256(f) for f in _files(root)}
    write_json(root / MANIFEST, {"sha256": hashes})
    return hashes


def verify_manifest(folder: str | os.PathLike[str]) -> None:
    """Checks every file of `folder` against its manifest.

    Raises:
        DamagedError: the manifest is absent, or a file is missing or differs; the message names the first.
    """
    root = Path(folder)
    if not (root / MANIFEST).is_file():
        raise DamagedError(f"'{root}' has no {MANIFEST}: it was not finished. Use an older one.")
    for name, expected in read_json(root / MANIFEST)["sha256"].items():
        file = root / name
        if not file.is_file():
            raise DamagedError(f"'{file}' is in the manifest and missing. Use an older one.")
        if sha256(file) != expected:
            raise DamagedError(f"'{file}' does not match its SHA-256 in the manifest. Use an older one.")


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors as safetensors; each gets its own contiguous memory on the CPU."""
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, Path(path))


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads a file of tensors without running code from it.

    Args:
        path: safetensors, or a PyTorch file that `torch.load(weights_only=True)` accepts; a `state_dict` entry
            is unwrapped.

    Raises:
        ModelError: the file is missing or truncated.
        UnsafeFileError: the file holds anything but tensors and plain containers.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelError(f"weights file must exist. '{file}' does not.")
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"weights file must be whole safetensors. '{file}': {error}. Copy it again."
            ) from error
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(file) or file.stat().st_size < 1 << 16:
            raise _unsafe(file) from error
        raise ModelError(f"weights file must be whole. '{file}' is truncated. Copy it again.") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelError(f"weights file must be whole. '{file}': {error}. Copy it again.") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"weights file must hold a dict of tensors. '{file}' does not. Save a state_dict.")
    return dict(content)


@contextmanager
def lock(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Holds `folder` for this process while the block runs; the lock goes with the process, however it ends.

    Raises:
        RunError: another process holds it.
    """
    import fcntl

    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"run folder '{folder}' is in use by another process. Wait or use another.") from error
        yield


def _unsafe(file: Path) -> UnsafeFileError:
    return UnsafeFileError(
        f"weights file must hold only tensors. '{file}' holds pickled objects, which can run code, and was not "
        "opened. Where you trust its source, convert it once on a machine you can lose: "
        "safetensors.torch.save_file(torch.load(FILE, weights_only=False)['state_dict'], 'weights.safetensors')."
    )


def _files(root: Path) -> list[Path]:
    return sorted(f for f in root.rglob("*") if f.is_file() and f.name not in {MANIFEST, ".lock"})


def _flush(path: Path) -> None:
    """Forces a file's or a folder's content to disk: without it a rename can outlive what it renamed."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
