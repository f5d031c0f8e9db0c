"""The image files that a list names: all inside one folder, and all there."""

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from radapter.errors import DataError


def files_inside(files: Sequence[str], images: Path, *, origin: Path) -> list[str]:
    """Places of files that a list names.

    Args:
        files: relative to `images`.
        images: the folder.
        origin: the list, for messages.

    Raises:
        DataError: a name leaves the folder, the folder is none, or files are missing.
    """
    # A Windows path knows both slashes and drives, so that one rule refuses what leaves the folder on any system.
    leaving = [file for file in files if PureWindowsPath(file).anchor or ".." in PureWindowsPath(file).parts]
    if leaving:
        raise DataError(
            f"paths must stay inside images. '{origin}' has {_some(leaving)}. Make them relative to '{images}'."
        )
    if not images.is_dir():
        raise DataError(
            f"images must be a folder. '{images}' is none. Give the one that '{origin}' is about."
        )
    found = [str(images / file) for file in files]
    refuse_missing(found, names=files, origin=origin, folder=images)
    return found


def refuse_missing(found: Sequence[str], *, names: Sequence[str], origin: Path, folder: Path) -> None:
    """Raises DataError where files that `origin` names are not there; the message counts and shows three."""
    missing = [name for name, place in zip(names, found, strict=True) if not Path(place).is_file()]
    if missing:
        raise DataError(
            f"every image must exist. Of the {len(names)} that '{origin}' names in '{folder}' there is no "
            f"{_some(missing)}. Correct images, or complete the folder."
        )


def _some(files: Sequence[str]) -> str:
    """How many, and the first three."""
    return f"{len(files)}: {', '.join(files[:3])}{' ...' if len(files) > 3 else ''}"
