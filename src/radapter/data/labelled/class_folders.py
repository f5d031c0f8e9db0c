"""Listing class folders: what the readers of folders share."""

import collections
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from radapter.data import columns, text_tables
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.pictures.decoding import is_image_file
from radapter.data.pictures.pictures import FilePictures
from radapter.data.source import Reading
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
    reading: Reading,
    candidates: Mapping[str, Sequence[str]] | None = None,
    groups: Sequence[str] | None = None,
    notes: tuple[str, ...] = (),
) -> LabelledPictures:
    """A source of class name -> image files; `candidates`, `groups` and `notes` as in `LabelledPictures`."""
    paths = [file for found in files.values() for file in found]
    labels = [classname for classname, found in files.items() for _ in found]
    pictures = FilePictures(paths, max_pixels=reading.max_pixels)
    return LabelledPictures(
        name, pictures, labels, tuple(files), candidates=candidates, groups=groups, notes=notes
    )


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
        seen_from = "" if path.is_absolute() else f" It is looked for in '{Path.cwd()}'."
        raise DataError(f"data folder must exist. '{path}' does not.{seen_from}")
    try:
        names = sorted(
            child.name for child in path.iterdir() if child.is_dir() and not _is_hidden(child.name)
        )
    except OSError as error:
        raise unlisted(error) from error
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"names of class folders must be UTF-8. '{path}' has {os.fsencode(name)!r}. Rename it."
            ) from None
    return names


def images_in(folder: Path) -> list[str]:
    """The image files of a folder at any depth, sorted."""
    found = []
    for parent, _, files in _walk(folder):
        found += [os.path.join(parent, name) for name in sorted(files) if is_image_file(Path(name))]  # noqa: PTH118
    return found


def passed_over(folder: Path, *, levels: int) -> dict[str, int]:
    """Counts the files of a folder, at any depth, that are not read, by suffix, most first.

    Hidden files are not counted. The suffix of a file without one is "no suffix", that of a link to a folder, which
    is not followed, "link to a folder".

    Args:
        folder: which holds the class folders, or is one.
        levels: how deep class folders lie in it, at most; links among these are followed.
    """
    suffixes: collections.Counter[str] = collections.Counter()
    for parent, folders, files in _walk(folder):
        if len(Path(parent).relative_to(folder).parts) >= levels:
            suffixes.update("link to a folder" for name in folders if Path(parent, name).is_symlink())
        others = [Path(parent, name) for name in files if not (_is_hidden(name) or is_image_file(Path(name)))]
        suffixes.update(path.suffix.lower() or "no suffix" for path in others)
    return dict(suffixes.most_common())


def suffixes_in_words(suffixes: Mapping[str, int]) -> str:
    """Such as "11 (.heic 8, .jxl 2, no suffix 1)"."""
    return f"{sum(suffixes.values()):,} ({', '.join(f'{suffix} {count:,}' for suffix, count in suffixes.items())})"


def refuse_empty(path: Path, files: Mapping[str, Sequence[str]]) -> None:
    """Raises DataError where a class folder of `path` has no file."""
    empty = [name for name in files if not files[name]]
    if empty:
        tables = sorted(
            file.name
            for file in path.iterdir()
            if file.suffix.lower() in (*text_tables.SUFFIXES, *columns.SUFFIXES)
        )
        others = passed_over(path / empty[0], levels=0)
        remedy = (
            f"'{empty[0]}' has other files: {suffixes_in_words(others)}. Convert them to JPEG."
            if others
            else "Fill or remove them."
        )
        raise DataError(
            f"every class folder must hold an image. In '{path}' {len(empty)} of {len(files)} hold none: "
            f"{first_few(empty)}. {remedy}{_of_tables(path, tables)}"
        )


def _of_tables(path: Path, tables: Sequence[str]) -> str:
    """A further remedy if the folder has a table that may list its images."""
    return f" If '{tables[0]}' lists the images, use '{path / tables[0]}' as the source." if tables else ""


def first_few(names: Sequence[str]) -> str:
    """The first three names, quoted."""
    return ", ".join(repr(name) for name in names[:3]) + (" ..." if len(names) > 3 else "")


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, without hidden folders, in sorted order; raises DataError where a folder cannot be listed."""

    def refuse(error: OSError) -> None:
        raise unlisted(error) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield parent, folders, files


def unlisted(error: OSError) -> DataError:
    """The error of a folder that cannot be listed: without it its images would be missing silently."""
    return DataError(
        f"every folder of the data must be readable. '{error.filename}': {error.strerror}. Change its permissions, "
        "mount it again, or remove it."
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
