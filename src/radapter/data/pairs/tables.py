"""Captioned tables: CSV or TSV and JSON Lines, whose rows of one image are merged, and tables of Hugging Face."""

from collections.abc import Hashable, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar

from pydantic import Field

from radapter.data.columns import ColumnKeys, HubKeys, ParquetKeys
from radapter.data.images.image_files import files_of_table, refuse_missing
from radapter.data.images.sequences import FileImages
from radapter.data.pairs.source import CaptionedImages, PairSource, group_id, texts_of
from radapter.data.paths import PATH
from radapter.data.source import Reading
from radapter.data.text_tables import SUFFIXES, ListedImages, read_table, refuse_blank
from radapter.data.wording import read_or_refuse, refuse_unknown
from radapter.errors import DataError
from radapter.given_files import parse_json, text_lines


class _CaptionTable(ListedImages, PairSource):
    def _merged(
        self,
        paths: Sequence[str],
        captions: Sequence[Sequence[str]],
        groups: Sequence[Hashable] | None,
        reading: Reading,
    ) -> CaptionedImages:
        """Merges the rows of each image; raises DataError if it has two groups or does not exist."""
        folder, path = self.listing()
        found: dict[str, list[str]] = {}
        group_of: dict[str, Hashable] = {}
        for row, (written, texts) in enumerate(zip(paths, captions, strict=True)):
            # ./a.jpg is a.jpg; normpath would also change link/../a.jpg, another file if link is a link
            image = str(PurePath(written))
            found.setdefault(image, []).extend(texts)
            if groups is not None and group_of.setdefault(image, groups[row]) != groups[row]:
                raise DataError(
                    f"an image must have one group. In '{path.name}' '{image}' has {group_of[image]!r} and "
                    f"{groups[row]!r}. Correct the group column, or leave group out to make the image the group."
                )
        files = files_of_table(list(found), folder, origin=path)
        refuse_missing(files, names=list(found), origin=path, folder=folder)
        sample_images = FileImages(files, max_pixels=reading.max_pixels)
        ids = None if groups is None else list(group_of.values())
        return CaptionedImages(path.stem, sample_images, list(found.values()), ids)


class PairCsvSource(_CaptionTable):
    """A table with a header line and a caption per row; `.tsv` and `.tab` are tab-separated.

    Rows of one image are merged.
    """

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    csv: Annotated[str, PATH] = Field(description="the table; paths in it are relative to its folder")
    image: str = Field(default="image", description="column of image paths")
    caption: str = Field(default="caption", description="column of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes the image the group")

    def read(self, reading: Reading) -> CaptionedImages:
        """The rows of the table; raises ConfigError for a wrong column, DataError for a wrong row."""
        _, path = self.listing()
        columns = [self.image, self.caption, *([] if self.group is None else [self.group])]
        paths, captions, *groups = read_table(path, columns, beside="caption")
        refuse_blank(paths, "an image", path, f"Fill column {self.image!r} or remove them.")
        for ids in groups:
            remedy = f"Fill column {self.group!r}, or leave group out to make the image the group."
            refuse_blank(ids, "a group", path, remedy)
        return self._merged(paths, [(text,) for text in captions], groups[0] if groups else None, reading)


class PairJsonlSource(_CaptionTable):
    """JSON Lines: `{"image": "a.jpg", "captions": ["a dog", "a brown dog"]}`, one object per line.

    Lines of one image are merged.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")

    jsonl: Annotated[str, PATH] = Field(description="the file; paths in it are relative to its folder")
    image: str = Field(default="image", description="key of the image's path")
    captions: str = Field(default="captions", description="key of the caption or list of captions")
    group: str | None = Field(default=None, description="key of the group id; null makes the image the group")

    def read(self, reading: Reading) -> CaptionedImages:
        """The lines that are not blank; raises ConfigError for a missing key, DataError for a wrong line."""
        _, path = self.listing()
        entries = read_or_refuse(_entries, path, "pairs must be a UTF-8 JSON Lines file")
        if not entries:
            raise DataError(f"JSON Lines file must have a line. '{path}' has none.")
        for where, entry in entries.items():
            for key in (self.image, self.captions, *([] if self.group is None else [self.group])):
                refuse_unknown("key", key, entry, where)
        paths = [_path(entry[self.image], where) for where, entry in entries.items()]
        texts = [texts_of(entry[self.captions], where) for where, entry in entries.items()]
        ids = None
        if self.group is not None:
            ids = [group_id(entry[self.group], where) for where, entry in entries.items()]
        return self._merged(paths, texts, ids, reading)


class _CaptionColumns(ColumnKeys, PairSource):
    captions: str = Field(default="captions", description="column of captions or lists of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes each row a group")

    def read(self, reading: Reading) -> CaptionedImages:
        """The rows of the table; raises ConfigError for a wrong column, DataError if it holds something else."""
        table = self.table(reading)
        table.require(self.image, self.captions, *([] if self.group is None else [self.group]))
        images = table.images(self.image, max_pixels=reading.max_pixels)
        texts = [texts_of(value, images.where(row)) for row, value in enumerate(table.values(self.captions))]
        groups = None
        if self.group is not None:
            groups = [
                group_id(value, images.where(row)) for row, value in enumerate(table.values(self.group))
            ]
        return CaptionedImages(table.name, images, texts, groups)


class PairParquetSource(ParquetKeys, _CaptionColumns):
    """Parquet files with an image and a caption column, as the hub stores them; a row is an image."""


class PairHubSource(HubKeys, _CaptionColumns):
    """A data set of the Hugging Face Hub (`allow_download: true`) or a `save_to_disk` folder; a row is an image."""


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    """Place of a line in messages -> its object."""
    places = ((f"Line {number} of '{path}'", line) for number, line in enumerate(text_lines(path), start=1))
    return {where: _entry(line, where) for where, line in places if line.strip()}


def _entry(line: str, where: str) -> dict[str, Any]:
    try:
        entry = parse_json(line)
    except ValueError as error:
        raise DataError(
            f"every line must be one JSON object. {where}: {error}. Write one object per line."
        ) from error
    if not isinstance(entry, dict):
        raise DataError(f"every line must be one JSON object. {where} is {line[:60]!r}.")
    return entry


def _path(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"an image must be given by its path. {where} has {value!r}. Fill it in.")
    return value
