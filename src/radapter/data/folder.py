"""A folder with one folder of images for each class; the folder's name is the class name."""

import os
from pathlib import Path

from radapter.data.images import MAX_PIXELS, is_image_file
from radapter.data.labels import Source
from radapter.data.pictures import FilePictures
from radapter.errors import DataError


def read_folder(path: Path, *, max_pixels: int = MAX_PIXELS) -> Source:
    """Lists the images of class folders, at any depth below them, in sorted order.

    Hidden files and folders, and files whose suffix is no image's, are left out.

    Raises:
        DataError: the folder is missing, has no class folders, or class folders without images.
    """
    if not path.is_dir():
        raise DataError(f"data folder must exist. '{path}' does not.")
    classes = sorted(child.name for child in path.iterdir() if child.is_dir() and not _is_hidden(child.name))
    if not classes:
        raise DataError(f"data folder must hold one folder for each class. '{path}' holds none.")
    files = {name: _images(path / name) for name in classes}
    empty = [name for name in classes if not files[name]]
    if empty:
        shown = ", ".join(repr(name) for name in empty[:3]) + (" ..." if len(empty) > 3 else "")
        raise DataError(
            f"every class folder must hold an image. In '{path}' {len(empty)} of {len(classes)} hold none: "
            f"{shown}. Fill or remove them."
        )
    paths = [file for name in classes for file in files[name]]
    labels = [name for name in classes for _ in files[name]]
    return Source(path.name, FilePictures(paths, max_pixels=max_pixels), labels, tuple(classes))


def _images(folder: Path) -> list[str]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        found += [os.path.join(parent, name) for name in sorted(files) if is_image_file(Path(name))]  # noqa: PTH118
    return found


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
