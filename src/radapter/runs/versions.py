"""The versions of radapter and of the libraries that compute, as a file of a run or a comparison."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import TypeAdapter

from radapter.schemas import read_as
from radapter.storage import write_json

VERSIONS = "versions.json"
_NAMES = (
    "radapter",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "open_clip_torch",
    "timm",
    "numpy",
    "pillow",
)
_FILE = TypeAdapter(dict[str, str | int])


def write_versions(folder: Path) -> None:
    """Writes the installed versions into a folder."""
    found: dict[str, str | int] = {"schema": 1, "python": platform.python_version()}
    for name in _NAMES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    write_json(folder / VERSIONS, found)


def read_versions(folder: Path) -> dict[str, str]:
    """Reads the versions; empty if an older radapter wrote the folder. Raises DamagedError."""
    if not (folder / VERSIONS).is_file():
        return {}
    found = read_as(folder / VERSIONS, _FILE, reads=(1,))
    return {name: str(value) for name, value in found.items() if name != "schema"}
