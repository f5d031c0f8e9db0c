"""Tables of Hugging Face `datasets`, from parquet files, saved folders or the hub, and their image columns.

Images stay as stored until they are asked for; `datasets` keeps the table memory-mapped (of parquet, a copy in its
cache), so that its size does not matter.
"""

import dataclasses
import glob
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.pictures.image_files import files_inside, roots_of
from radapter.data.pictures.pictures import ColumnPictures
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import open_regular, read_json_file

SUFFIXES = (".parquet",)
"""Of the names of files that hold a table of columns."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class ColumnTable:
    """A table and what it is called.

    Attributes:
        table: a `datasets.Dataset`.
        name: what messages call it.
        folder: where relative paths in it start.
        roots: folders, without links, that the files of its paths must lie in.
    """

    table: Any
    name: str
    folder: Path
    roots: tuple[str, ...]

    def require(self, *columns: str) -> None:
        """Raises ConfigError where the table has no such column."""
        for column in columns:
            if column not in self.table.column_names:
                raise ConfigError(
                    f"column must be one of {', '.join(self.table.column_names)}. '{self.name}' has no {column!r}."
                    f"{did_you_mean(column, self.table.column_names)}"
                )

    def values(self, column: str) -> list[Any]:
        """Everything that a column holds."""
        return list(self.table.select_columns([column])[:][column])

    def paths(self, column: str) -> list[str | None]:
        """The paths beside the bytes of an image column; None where it stores none. No bytes are read."""
        import pyarrow as pa
        import pyarrow.compute as pc

        stored = self.table.data.column(column)
        if not pa.types.is_struct(stored.type) or stored.type.get_field_index("path") < 0:
            return [None] * len(stored)
        paths: list[str | None] = pc.struct_field(stored, "path").to_pylist()
        return paths

    def pictures(self, column: str, *, max_pixels: int = MAX_PIXELS) -> ColumnPictures:
        """An image column, undecoded.

        Raises:
            DataError: it holds neither images nor bytes nor paths.
        """
        import datasets

        table = self.table
        if isinstance(table.features[column], datasets.Image):
            table = table.cast_column(column, datasets.Image(decode=False))
        elif not _holds_files(table.features[column]):
            raise DataError(
                f"image column must hold images, bytes or paths. '{column}' of '{self.name}' holds "
                f"{table.features[column]}."
            )
        # A row of the image column alone takes 10 us; `table[image][i]` selects the column anew, 270 us.
        return ColumnPictures(
            table.select_columns([column]),
            column,
            name=self.name,
            folder=self.folder,
            roots=self.roots,
            max_pixels=max_pixels,
        )


def parquet_table(paths: Sequence[str]) -> ColumnTable:
    """Parquet files as one table.

    Args:
        paths: files, or patterns with `*`.

    Raises:
        DataError: a file is missing or damaged.
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
    first = Path(files[0])
    return ColumnTable(table, first.stem, first.parent, roots_of(first.parent, first))


def hub_table(
    name: str, *, split: str, config: str | None = None, allow_download: bool = False
) -> ColumnTable:
    """A folder written by `save_to_disk`, or a data set of the hub.

    Args:
        name: the folder, or the hub's id.
        split: which split.
        config: which configuration, where the hub has several.
        allow_download: whether the hub may be asked.

    Raises:
        ConfigError: there is no such split.
        DataError: the folder is no saved data set, or the hub is needed and not allowed, or fails.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ColumnTable(_saved(folder, split=split), folder.name, folder, (os.path.realpath(folder),))
    table = _downloaded(name, split=split, config=config, allow_download=allow_download)
    return ColumnTable(table, folder.name, folder, _caches())


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote a folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "dataset_info.json"))


def _found(path: str) -> list[str]:
    files = sorted(glob.glob(path)) if glob.has_magic(path) else [path]  # noqa: PTH207
    if not files:
        raise DataError(f"parquet file must exist. '{path}' does not.")
    for file in files:
        try:
            open_regular(file, limit=sys.maxsize).close()  # a table that is memory-mapped may have any size
        except OSError as error:
            raise DataError(
                f"parquet file must exist and be a regular file. '{file}': {error.strerror}."
            ) from error
    return files


def _saved(folder: Path, *, split: str) -> Any:
    import datasets

    try:
        _check_saved(folder)
        with _quiet():
            table = datasets.load_from_disk(str(folder))
    except DataError:
        raise
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


def _check_saved(folder: Path) -> None:
    """Raises DataError where the JSON of a saved set names files outside it; `datasets` would read them."""
    saved = [folder]
    if (folder / "dataset_dict.json").is_file():
        names = read_json_file(folder / "dataset_dict.json")["splits"]
        saved = [Path(place) for place in files_inside(names, folder, origin=folder / "dataset_dict.json")]
    for place in saved:
        files = [entry["filename"] for entry in read_json_file(place / "state.json")["_data_files"]]
        for file in files_inside(files, place, origin=place / "state.json"):
            open_regular(file, limit=sys.maxsize).close()


def _caches() -> tuple[str, ...]:
    """Where `datasets` keeps what it downloads: its tables name images there by absolute paths."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    caches = (datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH, HF_HUB_CACHE)
    return tuple(map(os.path.realpath, caches))


def _downloaded(name: str, *, split: str, config: str | None, allow_download: bool) -> Any:
    import datasets

    if not allow_download:
        raise DataError(
            f"'{name}' is no local folder, and the hub may be asked only when downloads are allowed. "
            "Set allow_download: true, or give a folder written by save_to_disk."
        )
    try:
        return datasets.load_dataset(name, config, split=split)
    except Exception as error:
        raise DataError(
            f"data set must be on the hub. '{name}', split {split!r}: {_cause(error)}."
        ) from error


def _holds_files(feature: Any) -> bool:
    if isinstance(feature, dict):  # the image feature, written by a program that did not name it so
        return "bytes" in feature or "path" in feature
    return getattr(feature, "dtype", None) in {"binary", "large_binary", "string", "large_string"}


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar for the conversion of a local file, and no word of it to the hub, which counts what is loaded."""
    import datasets

    had_bars, counted = not datasets.are_progress_bars_disabled(), datasets.config.HF_UPDATE_DOWNLOAD_COUNTS
    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    try:
        yield
    finally:
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = counted
        if had_bars:
            datasets.enable_progress_bars()


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".splitlines()[0]
