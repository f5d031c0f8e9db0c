"""The image files that a list names: where they may be, and whether they exist.

A name is relative to the folder of the list, or to the folder that the user gives for images, and must stay inside
it, also after links are followed. If the list itself is a link, the folder of its target counts too: a download
cache links both the list and its images there. Only tables that a user writes, CSV and JSON Lines, take absolute
names.
"""

import ntpath
import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from radapter.errors import DataError


def roots_of(folder: Path, origin: Path) -> tuple[str, ...]:
    """The folders, without links, that may hold the files of a list `origin` with names relative to `folder`."""
    return os.path.realpath(folder), os.path.dirname(os.path.realpath(origin))  # noqa: PTH120


def place_inside(name: str, folder: Path, roots: Sequence[str]) -> str | None:
    """The path of a file named in a list, relative to `folder`; None if it is outside all `roots` of `roots_of`."""
    path = PureWindowsPath(ntpath.normpath(name))  # knows both slashes and drives: one rule for every system
    if os.sep == "/" and (path.drive or path.parts[:1] == ("..",)):
        return None
    place = os.path.join(folder, name)  # noqa: PTH118
    try:
        real = os.path.realpath(place)
    except ValueError:  # NUL, or half of a surrogate pair
        return None
    return place if any(real.startswith(os.path.join(root, "")) for root in roots) else None  # noqa: PTH118


def files_inside(files: Sequence[str], images: Path, *, origin: Path) -> list[str]:
    """Paths of the files that a list `origin` names, relative to the folder `images`.

    Raises:
        DataError: A name leaves the folder, the folder does not exist, or files are missing.
    """
    if not images.is_dir():
        raise DataError(f"images must be a folder. '{images}' is none. Give that of the files in '{origin}'.")
    found = places_inside(files, images, origin=origin)
    refuse_missing(found, names=files, origin=origin, folder=images)
    return found


def files_of_table(files: Sequence[str], folder: Path, *, origin: Path) -> list[str]:
    """Paths of the files that a user's own table `origin` names: absolute ones unchanged, others inside `folder`.

    Raises:
        DataError: A relative name leaves the folder.
    """
    relative = [file for file in files if not _is_absolute(file)]
    own = iter(places_inside(relative, folder, origin=origin, own=True))
    return [file if _is_absolute(file) else next(own) for file in files]


def places_inside(files: Sequence[str], folder: Path, *, origin: Path, own: bool = False) -> list[str]:
    """Paths of the files that a list `origin` names, relative to `folder`.

    Raises:
        DataError: A name leaves the folder. In a user's `own` list, ".." may be used within the folder.
    """
    roots = roots_of(folder, origin)
    places = [
        place_inside(file, folder, roots) if own or ".." not in PureWindowsPath(file).parts else None
        for file in files
    ]
    leaving = [file for file, place in zip(files, places, strict=True) if place is None]
    if leaving:
        raise DataError(
            f"paths must stay inside images. '{origin}' has {_some(leaving)}, outside '{folder}', links followed. "
            f"Make them relative to '{folder}' and move the images there. CSV and JSON Lines also take absolute "
            "paths."
        )
    return [place for place in places if place is not None]


def refuse_missing(found: Sequence[str], *, names: Sequence[str], origin: Path, folder: Path) -> None:
    """Raises DataError if files that `origin` names do not exist."""
    missing = [name for name, place in zip(names, found, strict=True) if not os.path.exists(place)]  # noqa: PTH110
    if missing:
        raise DataError(
            f"every image must exist. Of the {len(names)} that '{origin}' names in '{folder}' there is no "
            f"{_some(missing)}. Correct images, or complete the folder."
        )


def _is_absolute(name: str) -> bool:
    return os.path.isabs(name) and "\0" not in name  # noqa: PTH117


def _some(files: Sequence[str]) -> str:
    shown = ", ".join(file if file.isprintable() else repr(file) for file in files[:3])
    return f"{len(files)}: {shown}{' ...' if len(files) > 3 else ''}"
