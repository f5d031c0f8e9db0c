"""Listing class folders: what the readers of folders share."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from radapter.data.labelled.labels import Source
from radapter.data.pictures.decoding import is_image_file
from radapter.data.pictures.pictures import FilePictures
from radapter.errors import DataError


def list_class_folders(path: Path) -> dict[str, list[str]]:
    """The images of each class folder, at any depth below it, both in sorted order.

    Hidden files and folders, and files whose suffix is no image's, are left out.

    Returns:
        Class folder's name -> its files.

    Raises:
        DataError: the folder is missing, has no class folders, or class folders without images.
    """
    classes = folders_in(path)
    if not classes:
        raise DataError(f"data folder must hold one folder for each class. '{path}' holds none.")
    files = {name: images_in(path / name) for name in classes}
    refuse_empty(path, files)
    return files


def files_source(
    name: str,
    files: Mapping[str, Sequence[str]],
    *,
    max_pixels: int,
    candidates: Mapping[str, Sequence[str]] | None = None,
    groups: Sequence[str] | None = None,
    notes: tuple[str, ...] = (),
) -> Source:
    """A source of class name -> image files; `candidates`, `groups` and `notes` as in `Source`."""
    paths = [file for found in files.values() for file in found]
    labels = [classname for classname, found in files.items() for _ in found]
    pictures = FilePictures(paths, max_pixels=max_pixels)
    return Source(name, pictures, labels, tuple(files), candidates=candidates, groups=groups, notes=notes)


def folders_in(path: Path) -> list[str]:
    """The names of the folders in `path`, sorted, hidden ones left out.

    Raises:
        DataError: `path` is no folder.
    """
    if path.is_file():
        raise DataError(
            f"data folder must be a folder with one folder of images for each class. '{path}' is a file. Give the "
            "folder that holds the class folders, or a table: .csv, .tsv or .parquet."
        )
    if not path.is_dir():
        raise DataError(f"data folder must exist. '{path}' does not.")
    return sorted(child.name for child in path.iterdir() if child.is_dir() and not _is_hidden(child.name))


def images_in(folder: Path) -> list[str]:
    """The image files of a folder at any depth, sorted."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        found += [os.path.join(parent, name) for name in sorted(files) if is_image_file(Path(name))]  # noqa: PTH118
    return found


def refuse_empty(path: Path, files: Mapping[str, Sequence[str]]) -> None:
    """Raises DataError where a class folder of `path` has no file."""
    empty = [name for name in files if not files[name]]
    if empty:
        raise DataError(
            f"every class folder must hold an image. In '{path}' {len(empty)} of {len(files)} hold none: "
            f"{first_few(empty)}. Fill or remove them."
        )


def first_few(names: Sequence[str]) -> str:
    """The first three names, quoted."""
    return ", ".join(repr(name) for name in names[:3]) + (" ..." if len(names) > 3 else "")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
