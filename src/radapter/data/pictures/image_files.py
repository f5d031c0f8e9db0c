"""The image files that a list names: the one rule about where they may lie, and whether they are there.

A name starts at the folder of the list, or at the folder that the user gives for images, and must stay inside it,
also after links are followed. Where the list itself is a link, the folder that it leads to counts too: a cache of
downloads links both the list and its images there. Absolute names are for tables that a user writes, CSV and JSON
Lines.
"""

import ntpath
import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from radapter.errors import DataError


def roots_of(folder: Path, origin: Path) -> tuple[str, ...]:
    """The folders, without links, that the files of a list must lie in.

    Args:
        folder: where its names start.
        origin: the list.
    """
    return os.path.realpath(folder), os.path.dirname(os.path.realpath(origin))  # noqa: PTH120


def place_inside(name: str, folder: Path, roots: Sequence[str]) -> str | None:
    """The path of a file that a list names; None where it lies in none of the roots.

    Args:
        name: as the list has it.
        folder: where a relative name starts.
        roots: as `roots_of` gives them.
    """
    # A Windows path knows both slashes and drives, so that one rule refuses what leaves the folder on any system.
    if os.sep == "/" and _leaves_on_windows(name):
        return None
    place = os.path.join(folder, name)  # noqa: PTH118
    try:
        real = os.path.realpath(place)
    except ValueError:  # NUL, or half of a surrogate pair
        return None
    return place if any(real.startswith(os.path.join(root, "")) for root in roots) else None  # noqa: PTH118


def files_inside(files: Sequence[str], images: Path, *, origin: Path) -> list[str]:
    """Places of files that a list names.

    Args:
        files: relative to `images`.
        images: the folder.
        origin: the list, for messages.

    Raises:
        DataError: a name leaves the folder, the folder is none, or files are missing.
    """
    if not images.is_dir():
        raise DataError(
            f"images must be a folder. '{images}' is none. Give the one that '{origin}' is about."
        )
    found = places_inside(files, images, origin=origin)
    refuse_missing(found, names=files, origin=origin, folder=images)
    return found


def files_of_table(files: Sequence[str], folder: Path, *, origin: Path) -> list[str]:
    """Places of files that a user's own table names: absolute ones as they are, the others inside a folder.

    Args:
        files: relative to `folder`, or absolute.
        folder: the table's, or the one that its source names as `images`.
        origin: the table.

    Raises:
        DataError: a relative name leaves the folder.
    """
    own = iter(
        places_inside([file for file in files if not _is_absolute(file)], folder, origin=origin, own=True)
    )
    return [file if _is_absolute(file) else next(own) for file in files]


def places_inside(files: Sequence[str], folder: Path, *, origin: Path, own: bool = False) -> list[str]:
    """Places of files that a list names.

    Args:
        files: relative to `folder`.
        folder: which they must stay inside.
        origin: the list.
        own: whether a user wrote it, who may go up and down again within the folder.

    Raises:
        DataError: a name leaves the folder.
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
    """Raises DataError where files that `origin` names are not there; the message counts and shows three."""
    missing = [name for name, place in zip(names, found, strict=True) if not os.path.exists(place)]  # noqa: PTH110
    if missing:
        raise DataError(
            f"every image must exist. Of the {len(names)} that '{origin}' names in '{folder}' there is no "
            f"{_some(missing)}. Correct images, or complete the folder."
        )


def _is_absolute(name: str) -> bool:
    return os.path.isabs(name) and "\0" not in name  # noqa: PTH117


def _leaves_on_windows(name: str) -> bool:
    path = PureWindowsPath(ntpath.normpath(name))
    return bool(path.drive) or path.parts[:1] == ("..",)


def _some(files: Sequence[str]) -> str:
    """How many, and the first three."""
    shown = ", ".join(file if file.isprintable() else repr(file) for file in files[:3])
    return f"{len(files)}: {shown}{' ...' if len(files) > 3 else ''}"
