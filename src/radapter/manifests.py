"""manifest.json: the SHA-256 of radapter's files in a folder, and the comparison of these files with it.

Every folder that radapter writes has one. Files that a user adds, such as a README.md, are ignored. A folder without
a manifest, from PEFT or an older radapter, is not checked.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal, NamedTuple

from radapter.errors import DamagedError
from radapter.schemas import check_schema
from radapter.storage import LOCK, read_json, sha256, write_json

MANIFEST = "manifest.json"
SCHEMA = 1
_NOT_RECORDED = {MANIFEST, LOCK, "README.md"}  # users edit the model card


class Checked(NamedTuple):
    """One file, compared with its record; the reason is empty unless it is damaged or missing."""

    file: Path
    state: Literal["whole", "damaged", "missing", "not recorded"]
    reason: str = ""


def write_manifest(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Writes `manifest.json`, the SHA-256 of every file below `folder` except model cards, and returns it."""
    root = Path(folder)
    files = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*")) if file.is_file()}
    hashes = {name: sha256(file) for name, file in files.items() if name not in _NOT_RECORDED}
    _write(root, hashes)
    return hashes


def record(folder: str | os.PathLike[str], *names: str) -> None:
    """Adds files of `folder` to its manifest, or updates them there."""
    root = Path(folder)
    _write(root, recorded(root) | {name: sha256(root / name) for name in names})


def forget(folder: str | os.PathLike[str], *names: str) -> None:
    """Removes files from the manifest of `folder` before they are changed or removed; removes a damaged manifest."""
    try:
        known = recorded(folder)
    except DamagedError:
        (Path(folder) / MANIFEST).unlink()
        return
    if known.keys() & set(names):
        _write(Path(folder), {name: value for name, value in known.items() if name not in names})


def recorded(folder: str | os.PathLike[str]) -> dict[str, str]:
    """File -> SHA-256 from the manifest of `folder`, empty without one. Raises DamagedError if the manifest is not
    valid, and RunError if a later radapter wrote it."""
    file = Path(folder) / MANIFEST
    if not file.is_file():
        return {}
    manifest = read_json(file)
    if isinstance(manifest, dict) and not manifest.keys() & {"schema", "sha256"}:
        return {}  # another program wrote it: the name is common
    check_schema(manifest, file, reads=(SCHEMA,))
    return hashes_of(manifest, file)


def hashes_of(content: object, file: Path) -> dict[str, str]:
    """The value of "sha256" in the content of `file`: names in the file's folder -> SHA-256. Raises DamagedError if
    it is missing, or a name leads out of the folder."""
    hashes = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(hashes, dict) or not all(
        isinstance(value, str) and is_inside(name) for name, value in hashes.items()
    ):
        raise DamagedError(
            f"'{file}' must hold the SHA-256 of each file in its folder. It does not. Copy the folder again."
        )
    return hashes


def compared(folder: str | os.PathLike[str], hashes: Mapping[str, str], record: str) -> Iterator[Checked]:
    """Compares files of `folder` with their hashes, which the file `record` holds."""
    for name, expected in hashes.items():
        file = Path(folder) / name
        if not file.is_file():
            yield Checked(file, "missing", f"{record} records it, and it is missing")
            continue
        reason = ""
        try:
            if (found := sha256(file)) != expected:
                reason = f"its SHA-256 {found[:12]} does not match {expected[:12]} in {record}"
        except OSError as error:
            reason = f"it cannot be read: {error.strerror}"
        yield Checked(file, "damaged" if reason else "whole", reason)


def check(files: Iterator[Checked], record: Path) -> None:
    """Raises DamagedError for the first file that is missing or damaged; `record` holds the hashes."""
    for found in files:
        if found.state in ("missing", "damaged"):
            raise DamagedError(
                f"'{found.file}' is {found.state}: {found.reason}. Copy it again or write it again. If you changed "
                f"it on purpose, remove '{record}'."
            )


def check_recorded(folder: str | os.PathLike[str], *names: str) -> None:
    """Raises DamagedError for the first file of `folder`, of `names` or of all, that is missing or differs from the
    manifest. Does nothing without a manifest."""
    hashes = recorded(folder)
    wanted = {name: value for name, value in hashes.items() if not names or name in names}
    check(compared(folder, wanted, MANIFEST), Path(folder) / MANIFEST)


def check_finished(folder: str | os.PathLike[str]) -> None:
    """Raises DamagedError if `folder` has no manifest, and for the first file that is missing or differs from it."""
    if not recorded(folder):
        raise DamagedError(f"'{folder}' has no {MANIFEST}: it was not finished. Use an older one.")
    check_recorded(folder)


def is_inside(name: object) -> bool:
    """Whether a name stays in its folder, on every operating system."""
    if not isinstance(name, str) or not name:
        return False
    parts = PureWindowsPath(name)
    return not (parts.anchor or ".." in parts.parts or PurePosixPath(name).is_absolute())


def _write(root: Path, hashes: Mapping[str, str]) -> None:
    # sorted, so that an interrupted run gives the same bytes as one that was not interrupted
    write_json(root / MANIFEST, {"schema": SCHEMA, "sha256": dict(sorted(hashes.items()))})
