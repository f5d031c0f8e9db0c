"""Tables of Hugging Face `datasets`, from parquet files, saved folders or the hub, and their image columns.

Images stay encoded until they are used. `datasets` memory-maps the table (for parquet, a copy in its cache), so that
its size does not matter.
"""

import dataclasses
import os
import sys
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from radapter.data.images.decoding import MAX_PIXELS
from radapter.data.images.image_files import files_inside, roots_of
from radapter.data.images.sequences import ColumnImages
from radapter.data.paths import PATH_OR_NAME, Files, expanded, expanded_files, matching
from radapter.data.source import Reading, Source
from radapter.data.wording import refuse_unknown
from radapter.errors import DataError
from radapter.given_files import open_regular, read_json_file


@final
@dataclasses.dataclass(frozen=True, eq=False)
class ColumnTable:
    """A `datasets.Dataset`. Relative paths in it start at `folder`; all must be inside `roots`, links resolved."""

    table: Any
    name: str
    folder: Path
    roots: tuple[str, ...]

    def require(self, *columns: str) -> None:
        """Raises ConfigError if the table lacks one of the columns."""
        for column in columns:
            refuse_unknown("column", column, self.table.column_names, f"'{self.name}'")

    def values(self, column: str) -> list[Any]:
        """All values of a column."""
        return list(self.table.select_columns([column])[:][column])

    def paths(self, column: str) -> list[str | None]:
        """The paths stored beside the bytes of an image column, or None; reads no bytes."""
        import pyarrow as pa
        import pyarrow.compute as pc

        stored = self.table.data.column(column)
        if not pa.types.is_struct(stored.type) or stored.type.get_field_index("path") < 0:
            return [None] * len(stored)
        paths: list[str | None] = pc.struct_field(stored, "path").to_pylist()
        return paths

    def images(self, column: str, *, max_pixels: int = MAX_PIXELS) -> ColumnImages:
        """An image column; raises DataError unless it holds images, bytes or paths."""
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
        rows = table.select_columns([column])
        return ColumnImages(
            rows, column, name=self.name, folder=self.folder, roots=self.roots, max_pixels=max_pixels
        )


class ColumnKeys(Source):
    """Kinds of source that read a table of columns."""

    image: str = Field(default="image", description="column of images")

    @abstractmethod
    def table(self, reading: Reading) -> ColumnTable:
        """Opens the table."""


class ParquetKeys(ColumnKeys):
    """Kinds of source that read parquet files."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    parquet: Files = Field(description="the file or files; a name may contain `*`")

    def table(self, reading: Reading) -> ColumnTable:
        """The files as one table; raises DataError if one is missing or damaged."""
        return parquet_table(expanded_files(self.parquet))


class HubKeys(ColumnKeys):
    """Kinds of source that read a data set of the hub or a saved folder."""

    hub: Annotated[str, PATH_OR_NAME] = Field(description="the data set's id or folder")
    split: str = Field(default="train", description="its split")
    config: str | None = Field(default=None, description="its configuration, if it has several")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether `save_to_disk` wrote the folder."""
        return any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json"))

    def table(self, reading: Reading) -> ColumnTable:
        """The table of the split; raises ConfigError or DataError if it cannot be opened."""
        folder = Path(expanded(self.hub)).expanduser()
        if folder.is_dir():
            roots: tuple[str, ...] = (os.path.realpath(folder),)
            return ColumnTable(_saved(folder, split=self.split), folder.name, folder, roots)
        return ColumnTable(self._downloaded(reading.allow_download), folder.name, folder, _caches())

    def _downloaded(self, allowed: bool) -> Any:
        import datasets

        name = expanded(self.hub)
        if not allowed:
            raise DataError(
                f"'{name}' is no local folder, and downloads are not allowed. Set allow_download: true, or give a "
                "folder written by save_to_disk."
            )
        try:
            return datasets.load_dataset(name, self.config, split=self.split)
        except Exception as error:
            raise DataError(
                f"data set must be on the hub. '{name}', split {self.split!r}: {_cause(error)}."
            ) from error


def parquet_table(paths: Sequence[str]) -> ColumnTable:
    """Parquet files, or patterns with `*`, as one table; raises DataError if a file is missing or damaged."""
    import datasets

    files = matching(paths, "parquet file")
    with _quiet():
        try:
            table = datasets.load_dataset("parquet", data_files=files, split="train")
        except Exception as error:  # pyarrow and datasets raise many types
            raise DataError(
                f"data must be readable parquet. {files}: {_cause(error)}. Copy it again."
            ) from error
    first = Path(files[0])
    return ColumnTable(table, first.stem, first.parent, roots_of(first.parent, first))


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
        refuse_unknown("split", split, table, f"'{folder}'")
        return table[split]
    return table


def _check_saved(folder: Path) -> None:
    """Raises DataError if the JSON of a saved set names files outside it, which `datasets` would read."""
    saved = [folder]
    if (folder / "dataset_dict.json").is_file():
        names = read_json_file(folder / "dataset_dict.json")["splits"]
        saved = [Path(place) for place in files_inside(names, folder, origin=folder / "dataset_dict.json")]
    for place in saved:
        files = [entry["filename"] for entry in read_json_file(place / "state.json")["_data_files"]]
        for file in files_inside(files, place, origin=place / "state.json"):
            open_regular(file, limit=sys.maxsize).close()


def _caches() -> tuple[str, ...]:
    """The caches of `datasets`, whose tables name downloaded images by absolute paths."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    caches = (datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH, HF_HUB_CACHE)
    return tuple(map(os.path.realpath, caches))


def _holds_files(feature: Any) -> bool:
    if isinstance(feature, dict):  # the image feature, written by a program that did not name it so
        return "bytes" in feature or "path" in feature
    return getattr(feature, "dtype", None) in {"binary", "large_binary", "string", "large_string"}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the progress bar for a local file, and does not report it to the hub, which counts downloads."""
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
