"""Files and folders that are complete or absent, and weights that are read without running code.

A file or folder is written beside its final path, flushed to disk and renamed. A reader therefore never sees a part
of it, and a crash leaves the old one.
"""

import errno
import hashlib
import json
import logging
import os
import pickle
import re
import secrets
import shutil
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from radapter import pickles
from radapter.errors import ConfigError, DamagedError, DiskError, ModelError, RunError, UnsafeFileError

logger = logging.getLogger(__name__)

LOCK = ".lock"
_DRAFT = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{8}\.(?P<kind>part|old)")
_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
_NO_FOLDER_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF}
STATE_DICTS = ("state_dict", "model_state_dict", "model", "state_dict_ema")
"""Keys under which training programs keep a model's tensors; `load_weights` looks for them in this order."""


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Raises RunError if `folder`, or its nearest existing parent if it does not exist yet, is not a writable
    folder. Call it before long work."""
    target = Path(folder).absolute()
    nearest = next(place for place in (target, *target.parents) if os.path.lexists(place))
    requirement = "output must lie in a folder that can be written"
    if not nearest.is_dir():
        raise RunError(f"{requirement}. '{nearest}' is not a folder. Choose another folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunError(
            f"{requirement}. '{nearest}' is not writable. Choose another folder, or change its permissions."
        )
    if nearest == target:
        return
    _check_name(target)
    trial = _beside(nearest / "trial", "part")
    try:  # file systems such as /proc fail only on an attempt
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        raise RunError(f"{requirement}. '{nearest}': {error.strerror}. Choose another folder.") from error


def check_destination(path: str | os.PathLike[str]) -> None:
    """Raises RunError if a file or folder of this name, which may exist, cannot be written."""
    target = Path(path).absolute()
    check_writable(target if not os.path.lexists(target) else target.parent)


def check_new_file(path: str | os.PathLike[str], suffixes: Sequence[str], *, name: str = "output") -> Path:
    """Checks a file before the work that fills it, and returns its path; `name` is its name in messages.

    Raises:
        ConfigError: it has none of the suffixes.
        RunError: it exists, or cannot be written.
    """
    target = Path(path)
    if target.suffix not in suffixes:
        raise ConfigError(f"{name} must end in {' or '.join(suffixes)}. Got '{target}'. Give another name.")
    check_destination(target)
    if os.path.lexists(target):
        raise RunError(f"{name} must be a new file. '{target}' exists. Give another name or remove it.")
    return target


@contextmanager
def whole_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Yields a new folder beside `path` that takes its place when the block ends without an error.

    A process killed in the block leaves `path` as it was, and a `.NAME.*.part` beside it. If `replace` is True, an
    existing folder is replaced: it first becomes `.NAME.*.old`, because no rename swaps two folders, and `lock` puts
    it back if the process is killed before the second rename. Files get the mode of the user's umask.

    Raises RunError if `path` exists and `replace` is False, is a file, or its parent is not writable, and DiskError
    if the disk is full or read-only.
    """
    target = Path(path).absolute()
    if os.path.lexists(target) and not (replace and target.is_dir()):
        raise RunError(f"output folder must not exist. '{path}' does. Give another folder or remove it.")
    with _draft(target) as draft:
        draft.mkdir()
        yield draft
        for file in sorted(draft.rglob("*")):
            if not file.is_symlink():
                if file.is_file():
                    _set_mode(file, draft.stat().st_mode & 0o666)  # mkdir has applied the umask
                _flush(file)
        _flush(draft)
        old = _beside(target, "old") if replace and target.exists() else None
        if old is not None:
            target.rename(old)
        try:
            draft.rename(target)
        except BaseException as error:
            if old is not None:
                old.rename(target)
            elif isinstance(error, OSError) and os.path.lexists(target):
                raise RunError(f"output folder must not exist. '{target}' has appeared meanwhile.") from error
            raise
        if old is not None:
            shutil.rmtree(old)
        _flush(target.parent)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yields a new file beside `path` that takes its place when the block ends without an error. Raises RunError if
    nothing can be written beside `path`, and DiskError if the disk is full or read-only; the old content stays."""
    with _replacing(path) as draft, draft.open("xb") as file:
        yield file


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file, as `whole_file` does."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes `value` as indented JSON, as `write_text` does. Raises ValueError for NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file. Raises FileNotFoundError if it does not exist, and DamagedError if it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are a ValueError too
        raise DamagedError(f"'{path}' must be JSON. {error}. Write it again or remove it.") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_tensors(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """The hexadecimal SHA-256 over names, dtypes, shapes and bytes, in the order given, on any device."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors as safetensors; each is copied to contiguous memory of its own on the CPU."""
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    _save(own, Path(path), {"format": "pt"})  # transformers asks for the format


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]
) -> None:
    """Writes a safetensors file, as `whole_file` does."""
    with _replacing(path) as draft:
        _save(dict(tensors), draft, dict(metadata))


def load_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads a file of tensors without running code from it.

    The file is safetensors, or a PyTorch file that `torch.load(weights_only=True)` accepts. A dict of tensors under
    one of `STATE_DICTS` is unwrapped; if there are several, the first is read and the choice is logged.

    Raises ModelError if the file is missing, truncated, or holds something else than named tensors, and
    UnsafeFileError if it is a pickle of other objects, or TorchScript.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelError(f"weights file must exist. '{file}' does not.")
    content: Any
    if file.suffix != ".safetensors":
        content = _load_torch(file)
    else:
        try:
            content = load_file(file)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"weights file must be whole safetensors. '{file}': {error}. Copy it again."
            ) from error
    found = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        if keys := [key for key in STATE_DICTS if isinstance(content.get(key), Mapping)]:
            content = content[keys[0]]
        if len(keys) > 1:
            listed = " and ".join(keys)
            logger.warning("'%s' holds tensors under %s: those under '%s' are read.", file, listed, keys[0])
        found = f"a dict with the keys {', '.join(map(repr, list(content)[:5]))}"
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise ModelError(
            f"weights file must hold a dict of tensors, alone or under {' or '.join(STATE_DICTS)}. '{file}' holds "
            f"{found}. Save a state_dict."
        )
    return dict(content)


@contextmanager
def lock(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Locks `folder` for this process while the block runs, and removes drafts that killed processes left in it.

    The lock ends with the process; forked processes do not hold it. On a file system without locks a warning is
    logged once, and nothing is locked or removed. Raises RunError if another process holds the lock, or the folder
    is not writable.
    """
    check_writable(folder)
    held = FileLock(Path(folder) / LOCK, fallback_to_soft=False)
    try:
        with _disk_errors(Path(folder)):
            Path(folder).mkdir(parents=True, exist_ok=True)
            held.acquire(blocking=False)
    except Timeout as error:
        raise RunError(f"run folder '{folder}' is in use by another process. Wait or use another.") from error
    except PermissionError as error:
        raise RunError(f"'{held.lock_file}' is another user's: {error}. Give another folder.") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn_once(f"the file system of '{folder}' has no locks ({error}). Start only one process in it.")
        yield
        return
    try:
        _settle(Path(folder))
        yield
    finally:
        held.release()


def is_lock_or_draft(path: Path) -> bool:
    """Whether a file is a lock, or a draft that a killed process may have left."""
    return path.name == LOCK or _DRAFT.fullmatch(path.name) is not None


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Yields a new name beside `target`, and removes what is left under it."""
    check_writable(target.parent)
    _check_name(target)
    draft = _beside(target, "part")
    try:
        with _disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield draft
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


@contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    target = Path(path).absolute()
    with _draft(target) as draft:
        yield draft
        _flush(draft)
        draft.replace(target)
    _flush(target.parent)


def _settle(folder: Path) -> None:
    """Removes drafts; a folder whose replacement was interrupted between two renames gets its place back."""
    for draft in sorted(folder.rglob(".*")):
        if (name := _DRAFT.fullmatch(draft.name)) is None or not os.path.lexists(draft):
            continue
        target = draft.with_name(name["target"])
        if name["kind"] == "old" and not os.path.lexists(target):
            draft.rename(target)
        elif draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink()


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, DiskError) as caught:
        error = caught.__cause__ if isinstance(caught, DiskError) else caught
        if not isinstance(error, OSError) or error.errno not in _DISK_IS_FULL:
            raise
        place = next(place for place in (target.absolute(), *target.absolute().parents) if place.exists())
        free = shutil.disk_usage(place).free
        raise DiskError(
            f"'{target}' cannot be written: {os.strerror(error.errno)}. {free / 2**20:,.0f} MiB are free there. "
            "Free some space and start the same command again, or give another folder."
        ) from error


@cache
def _warn_once(message: str) -> None:
    logger.warning("%s", message)


def _load_torch(file: Path) -> Any:
    # torch.load fails on a script with the same RuntimeError as on a truncated file.
    if _is_torchscript(file):
        program = f"torch.jit.load({str(file)!r}, map_location='cpu')"
        raise _unsafe(file, "a TorchScript program", f"{program}.state_dict()")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the protocol of a pickle, before it is refused
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler may raise any exception on damaged bytes
        is_pickle = zipfile.is_zipfile(file) or pickles.is_pickle(file)
        if isinstance(error, pickle.UnpicklingError) and is_pickle:
            raise _unsafe(file, "pickled objects", pickles.tensors_of(file, STATE_DICTS)) from error
        raise ModelError(
            f"weights file must be whole. '{file}' is damaged or no weights file: {type(error).__name__}. "
            "Copy it again."
        ) from error


def _unsafe(file: Path, content: str, tensors: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"weights file must hold only tensors. '{file}' holds {content}, which can run code, and was not opened. "
        "If you trust its source, convert it once on a machine you can lose: import pathlib, pickle, torch; "
        f"import safetensors.torch; safetensors.torch.save_file({tensors}, 'weights.safetensors')"
    )


def _is_torchscript(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(Path(name).name == "constants.pkl" for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _save(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    """Writes safetensors with the mode of any new file: `save_file` gives 0600, whatever the umask."""
    with _disk_errors(file):
        file.touch()
        mode = file.stat().st_mode & 0o777
        try:
            save_file(tensors, file, metadata=metadata)
        except SafetensorError as error:
            if (system := re.search(r"os error (\d+)", str(error))) is None:
                raise
            raise OSError(int(system[1]), str(error)) from error
        _set_mode(file, mode)


def _check_name(target: Path) -> None:
    try:
        os.lstat(_beside(target, "part"))  # the draft has this longer name
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(
            f"output must have a possible name. {str(target)!r}: {reason}. Give another."
        ) from error


def _set_mode(file: Path, mode: int) -> None:
    if file.stat().st_mode & 0o777 != mode:  # file systems without modes refuse every change
        file.chmod(mode)


def _beside(target: Path, suffix: str) -> Path:
    """A new hidden name in the target's folder. tempfile would ignore the user's umask."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{suffix}")


def _flush(path: Path) -> None:
    """Forces a file's or a folder's content to disk: without it a rename can outlive what it renamed."""
    is_folder = path.is_dir()
    try:
        # Windows does not flush a file that is open for reading only, and does not open folders
        handle = os.open(path, os.O_RDWR if os.name == "nt" and not is_folder else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if not is_folder or error.errno not in _NO_FOLDER_FSYNC:
            raise
        _warn_once(
            f"folders cannot be forced to disk on this file system or platform ({os.strerror(error.errno)}): after "
            "a power cut the newest files may be missing."
        )
