"""Parquet files, saved data sets and hub data sets, through Hugging Face `datasets`.

Images stay as stored until they are asked for; `datasets` keeps the table memory-mapped (of parquet, a copy in its
cache), so that its size does not matter. Class names come from the label column where it has them (`ClassLabel`).
"""

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radapter.data.images import MAX_PIXELS
from radapter.data.labels import Source
from radapter.data.pictures import ColumnPictures
from radapter.errors import ConfigError, DataError, did_you_mean


def read_parquet(
    paths: Sequence[str], *, image: str = "image", label: str = "label", max_pixels: int = MAX_PIXELS
) -> Source:
    """Parquet files with an image and a label column.

    Args:
        paths: files, or patterns with `*`.
        image: column of images: bytes, paths, or the hub's image feature.
        label: column of class names or integers.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: there is no such column.
        DataError: a file is missing or damaged, or a column holds something else.
    """
    import datasets

    files = [file for path in paths for file in _found(path)]
    with _quiet():
        try:
            table = datasets.load_dataset("parquet", data_files=files, split="train")
        except Exception as error:  # pyarrow and datasets wrap damage in many types
            raise DataError(
                f"data must be readable parquet. {files}: {_cause(error)}. Copy it again."
            ) from error
    name = Path(files[0]).stem
    return _source(
        table, name=name, folder=Path(files[0]).parent, image=image, label=label, max_pixels=max_pixels
    )


def read_hub(
    name: str,
    *,
    split: str,
    config: str | None = None,
    image: str = "image",
    label: str = "label",
    max_pixels: int = MAX_PIXELS,
    allow_download: bool = False,
) -> Source:
    """A folder written by `save_to_disk`, or a data set of the hub.

    Args:
        name: the folder, or the hub's id.
        split: which split.
        config: which configuration, where the hub has several.
        image: column of images.
        label: column of class names or integers.
        max_pixels: larger images are refused from their header.
        allow_download: whether the hub may be asked.

    Raises:
        ConfigError: there is no such split or column.
        DataError: the folder is no saved data set, or the hub is needed and not allowed, or fails.
    """
    folder = Path(name).expanduser()
    table = (
        _saved(folder, split=split)
        if folder.is_dir()
        else _downloaded(name, split=split, config=config, allow_download=allow_download)
    )
    return _source(table, name=folder.name, folder=folder, image=image, label=label, max_pixels=max_pixels)


def _found(path: str) -> list[str]:
    files = sorted(glob.glob(path)) if glob.has_magic(path) else [path]  # noqa: PTH207
    if not files or not all(Path(file).is_file() for file in files):
        raise DataError(f"parquet file must exist. '{path}' does not.")
    return files


def _saved(folder: Path, *, split: str) -> Any:
    import datasets

    try:
        table = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise DataError(
            f"data folder must be one that save_to_disk wrote. '{folder}': {_cause(error)}. For parquet files "
            "give parquet:, for class folders folder:."
        ) from error
    if isinstance(table, datasets.DatasetDict):
        if split not in table:
            raise ConfigError(
                f"split must be one of {', '.join(table)}. '{folder}' has no {split!r}.{did_you_mean(split, table)}"
            )
        return table[split]
    return table


def _downloaded(name: str, *, split: str, config: str | None, allow_download: bool) -> Any:
    import datasets

    if not allow_download:
        raise DataError(
            f"'{name}' is no local folder, and the hub may be asked only when downloads are allowed. "
            "Set allow_download, or give a folder written by save_to_disk."
        )
    try:
        return datasets.load_dataset(name, config, split=split)
    except Exception as error:
        raise DataError(
            f"data set must be on the hub. '{name}', split {split!r}: {_cause(error)}."
        ) from error


def _source(table: Any, *, name: str, folder: Path, image: str, label: str, max_pixels: int) -> Source:
    import datasets

    for column in (image, label):
        if column not in table.column_names:
            raise ConfigError(
                f"column must be one of {', '.join(table.column_names)}. '{name}' has no {column!r}."
                f"{did_you_mean(column, table.column_names)}"
            )
    if isinstance(table.features[image], datasets.Image):
        table = table.cast_column(image, datasets.Image(decode=False))
    elif not _holds_files(table.features[image]):
        raise DataError(
            f"image column must hold images, bytes or paths. '{image}' of '{name}' holds {table.features[image]}."
        )
    kind = table.features[label]
    classnames = tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None
    if not str(getattr(kind, "dtype", "")).startswith(("int", "uint", "string", "large_string")):
        raise DataError(
            f"label column must hold class names or integers. '{label}' of '{name}' holds {kind}."
        )
    labels = table.select_columns([label])[:][label]
    # A row of the image column alone takes 10 us; `table[image][i]` selects the column anew, 270 us.
    pictures = ColumnPictures(
        table.select_columns([image]), image, name=name, folder=folder, max_pixels=max_pixels
    )
    return Source(name, pictures, labels, classnames)


def _holds_files(feature: Any) -> bool:
    if isinstance(feature, dict):  # the image feature, written by a program that did not name it so
        return "bytes" in feature or "path" in feature
    return getattr(feature, "dtype", None) in {"binary", "large_binary", "string", "large_string"}


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar for the conversion of a local file."""
    import datasets

    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".splitlines()[0]
