"""Listing class folders: the functions that the readers of folders share."""

import collections
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from radapter.data.columns import ParquetKeys
from radapter.data.images.decoding import is_image_file
from radapter.data.images.sequences import FileImages
from radapter.data.labelled.source import LabelledImages
from radapter.data.source import Reading
from radapter.data.text_tables import SUFFIXES
from radapter.data.wording import some, unlisted
from radapter.errors import ConfigError, DataError, did_you_mean


def list_class_folders(path: Path) -> dict[str, list[str]]:
    """Class folder -> its images at any depth, both sorted; raises DataError if there are none or one is empty."""
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
) -> LabelledImages:
    """A source of class name -> image files; `candidates`, `groups` and `notes` as in `LabelledImages`."""
    paths = [file for found in files.values() for file in found]
    labels = [classname for classname, found in files.items() for _ in found]
    images = FileImages(paths, max_pixels=reading.max_pixels)
    return LabelledImages(name, images, labels, tuple(files), None, candidates, groups, notes)


def folders_in(path: Path) -> list[str]:
    """The sorted names of the folders in `path` without hidden ones; raises DataError if it is no folder."""
    if path.is_file():
        raise DataError(
            f"data folder must be a folder with one folder of images for each class. '{path}' is a file. Give the "
            "folder that holds the class folders, or a table: .csv, .tsv or .parquet."
        )
    if not path.is_dir():
        seen_from = "" if path.is_absolute() else f" The current folder is '{Path.cwd()}'."
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
    return [
        os.path.join(parent, name)  # noqa: PTH118
        for parent, _, files in _walk(folder)
        for name in sorted(files)
        if is_image_file(Path(name))
    ]


def passed_over(folder: Path, *, levels: int) -> dict[str, int]:
    """Counts the files in a folder that are not read, by suffix or "no suffix", most first; ignores hidden ones.

    Links to folders are followed down to `levels`, the greatest depth of a class folder, and counted below it.
    """
    suffixes: collections.Counter[str] = collections.Counter()
    for parent, folders, files in _walk(folder):
        if len(Path(parent).relative_to(folder).parts) >= levels:
            suffixes.update("link to a folder" for name in folders if Path(parent, name).is_symlink())
        others = [Path(name) for name in files if not (_is_hidden(name) or is_image_file(Path(name)))]
        suffixes.update(path.suffix.lower() or "no suffix" for path in others)
    return dict(suffixes.most_common())


def suffixes_in_words(suffixes: Mapping[str, int]) -> str:
    """Such as "11 (.heic 8, .jxl 2, no suffix 1)"."""
    return f"{sum(suffixes.values()):,} ({', '.join(f'{suffix} {count:,}' for suffix, count in suffixes.items())})"


def refuse_empty(path: Path, files: Mapping[str, Sequence[str]]) -> None:
    """Raises DataError if a class folder of `path` has no file."""
    empty = [name for name in files if not files[name]]
    if not empty:
        return
    others = passed_over(path / empty[0], levels=0)
    remedy = "Fill or remove them."
    if others:
        remedy = f"'{empty[0]}' has other files: {suffixes_in_words(others)}. Convert them to JPEG."
    table_suffixes = (*SUFFIXES, *ParquetKeys.suffixes)
    tables = sorted(file for file in path.iterdir() if file.suffix.lower() in table_suffixes)
    if tables:
        remedy += f" If '{tables[0].name}' lists the images, use '{tables[0]}' as the source."
    raise DataError(
        f"every class folder must hold an image. In '{path}' {len(empty)} of {len(files)} hold none: "
        f"{first_few(empty)}. {remedy}"
    )


def refuse_absent(key: str, value: str, folder: Path, present: Sequence[str], none: str = "none") -> None:
    """Raises ConfigError unless `value` is one of the subfolders `present` of a folder."""
    if value not in present:
        raise ConfigError(
            f"{key} must be a folder of '{folder}', which holds {', '.join(present) or none}. Got {value!r}."
            f"{did_you_mean(value, present)}"
        )


def first_few(names: Sequence[str]) -> str:
    """The first three names, quoted."""
    return some([repr(name) for name in names])


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, sorted and without hidden folders; raises DataError if a folder cannot be listed."""

    def refuse(error: OSError) -> None:
        raise unlisted(error) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield parent, folders, files


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
