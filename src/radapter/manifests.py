"""manifest.json: the SHA-256 of radapter's files in a folder, and the comparison of these files with it.

Every folder that radapter writes has one. Other files, such as a README.md that a user adds, are no damage. A folder
without a manifest, from PEFT or an older radapter, is read unchecked.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from radapter.errors import DamagedError
from radapter.schemas import check_schema
from radapter.storage import LOCK, read_json, sha256, write_json

MANIFEST = "manifest.json"
SCHEMA = 1
_NOT_RECORDED = {MANIFEST, LOCK, "README.md"}  # a model card is there to be edited


@dataclass(frozen=True)
class Checked:
    """One file, compared with its record.

    Attributes:
        file: Its path.
        state: The result.
        reason: Why it is damaged or missing; empty for others.
    """

    file: Path
    state: Literal["whole", "damaged", "missing", "not recorded"]
    reason: str = ""


def write_manifest(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Writes `manifest.json`, the SHA-256 of every file below `folder` except model cards, and returns it."""
    root = Path(folder)
    files = sorted(file for file in root.rglob("*") if file.is_file())
    hashes = {
        file.relative_to(root).as_posix(): sha256(file)
        for file in files
        if file.relative_to(root).as_posix() not in _NOT_RECORDED
    }
    _write(root, hashes)
    return hashes


def record(folder: str | os.PathLike[str], *names: str) -> None:
    """Adds files of `folder` to its manifest, or updates them; other records stay."""
    root = Path(folder)
    _write(root, recorded(root) | {name: sha256(root / name) for name in names})


def forget(folder: str | os.PathLike[str], *names: str) -> None:
    """Removes files from the manifest of `folder` before they are rewritten or removed; removes a damaged
    manifest.
    """
    try:
        known = recorded(folder)
    except DamagedError:
        (Path(folder) / MANIFEST).unlink()
        return
    if known.keys() & set(names):
        _write(Path(folder), {name: value for name, value in known.items() if name not in names})


def recorded(folder: str | os.PathLike[str]) -> dict[str, str]:
    """File -> SHA-256 from the manifest of `folder`; empty if there is no manifest. Raises DamagedError if the
    manifest is not as radapter writes it, and RunError if a later radapter wrote it."""
    file = Path(folder) / MANIFEST
    if not file.is_file():
        return {}
    manifest = read_json(file)
    if isinstance(manifest, dict) and not manifest.keys() & {"schema", "sha256"}:
        return {}  # another program's: the name is a common one
    check_schema(manifest, file, reads=(SCHEMA,))
    return hashes_of(manifest, file)


def hashes_of(content: object, file: Path) -> dict[str, str]:
    """The key "sha256" of a file's content: names in the folder of that file -> SHA-256. Raises DamagedError if it
    is missing, or a name leads out of the folder."""
    hashes = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(hashes, dict) or not all(
        isinstance(value, str) and is_inside(name) for name, value in hashes.items()
    ):
        raise DamagedError(
            f"'{file}' must hold the SHA-256 of each file in its folder. It does not. Copy the folder again, or "
            "write it anew."
        )
    return hashes


def compared(folder: str | os.PathLike[str], hashes: Mapping[str, str], record: str) -> Iterator[Checked]:
    """Compares files with their hashes.

    Args:
        folder: Their folder.
        hashes: By their names in it.
        record: The name of the file that holds the hashes, for messages.
    """
    for name, expected in hashes.items():
        file = Path(folder) / name
        if not file.is_file():
            yield Checked(file, "missing", f"{record} records it, and it is missing")
            continue
        try:
            found = sha256(file)
        except OSError as error:
            yield Checked(file, "damaged", f"it cannot be read: {error.strerror}")
            continue
        if found == expected:
            yield Checked(file, "whole")
        else:
            yield Checked(
                file, "damaged", f"its SHA-256 {found[:12]} does not match {expected[:12]} in {record}"
            )


def check(files: Iterator[Checked], record: Path) -> None:
    """Raises DamagedError for the first file that is missing or damaged; `record` is the file that holds the
    hashes.
    """
    for found in files:
        if found.state in ("missing", "damaged"):
            raise DamagedError(
                f"'{found.file}' is {found.state}: {found.reason}. Copy it again or write it anew. If you changed "
                f"it on purpose, remove '{record}'."
            )


def check_recorded(folder: str | os.PathLike[str], *names: str) -> None:
    """Checks files of `folder` against its manifest, those of `names` or all; does nothing without a manifest.
    Raises DamagedError if a recorded file is missing or differs; names the first."""
    hashes = recorded(folder)
    wanted = {name: value for name, value in hashes.items() if not names or name in names}
    check(compared(folder, wanted, MANIFEST), Path(folder) / MANIFEST)


def check_finished(folder: str | os.PathLike[str]) -> None:
    """Checks every file of `folder` against its manifest, which must exist. Raises DamagedError if the manifest is
    absent, or a file is missing or differs; names the first."""
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
    # sorted: a run that was interrupted and one that was not have the same bytes
    write_json(root / MANIFEST, {"schema": SCHEMA, "sha256": dict(sorted(hashes.items()))})
