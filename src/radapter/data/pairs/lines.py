"""JSON Lines: one object a line, with an image's path and its caption or captions."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from radapter.data.pairs.captioned import CaptionedPictures, gathered, group_id, texts_of
from radapter.data.pairs.source import PairSource
from radapter.data.paths import PATH, place
from radapter.data.pictures.image_files import files_of_table, refuse_missing
from radapter.data.pictures.pictures import FilePictures
from radapter.data.source import Reading
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import parse_json, text_lines


class PairJsonlSource(PairSource):
    """JSON Lines: `{"image": "a.jpg", "captions": ["a dog", "a brown dog"]}`, one object a line.

    Lines of one image are brought together.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")

    jsonl: Annotated[str, PATH] = Field(description="the file; paths in it are relative to its folder")
    image: str = Field(default="image", description="key of the image's path")
    captions: str = Field(default="captions", description="key of the caption or list of captions")
    group: str | None = Field(default=None, description="key of the group id; null makes the image the group")
    images: str | None = Field(
        default=None, description="folder, seen from the file's, where relative image paths start"
    )

    def listing(self) -> tuple[Path, Path]:
        """The folder where names of images start, and the file."""
        return place(self.jsonl).parent / (self.images or ""), place(self.jsonl)

    def read(self, reading: Reading) -> CaptionedPictures:
        """The lines of the file, those of one image together; empty lines are skipped.

        Raises:
            ConfigError: a line has no such key.
            DataError: the file is missing or empty, a line is no such object, an image is not there or has two
                groups.
        """
        path = place(self.jsonl)
        entries = list(_entries(path))
        if not entries:
            raise DataError(f"JSON Lines file must have a line. '{path}' has none.")
        keys = (self.image, self.captions, *([] if self.group is None else [self.group]))
        for number, entry in entries:
            for key in keys:
                if key not in entry:
                    raise ConfigError(
                        f"key must be one of {', '.join(entry)}. Line {number} of '{path}' has no {key!r}."
                        f"{did_you_mean(key, entry)}"
                    )
        paths = [_path(entry[self.image], f"line {number} of '{path}'") for number, entry in entries]
        texts = [texts_of(entry[self.captions], f"line {number} of '{path}'") for number, entry in entries]
        ids = None
        if self.group is not None:
            ids = [group_id(entry[self.group], f"line {number} of '{path}'") for number, entry in entries]
        rows = gathered(paths, texts, ids, origin=path.name)
        folder = path.parent / (self.images or "")
        files = files_of_table(rows.images, folder, origin=path)
        refuse_missing(files, names=rows.images, origin=path, folder=folder)
        pictures = FilePictures(files, max_pixels=reading.max_pixels)
        return CaptionedPictures(path.stem, pictures, rows.captions, rows.groups)


def _entries(path: Path) -> list[tuple[int, dict[str, Any]]]:
    entries = []
    try:
        for number, line in enumerate(text_lines(path), start=1):
            if line.strip():
                entries.append((number, _entry(line, number, path)))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"pairs must be a UTF-8 JSON Lines file. '{path}': {error}.") from error
    return entries


def _entry(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        entry = parse_json(line)
    except ValueError as error:
        raise DataError(
            f"every line must be one JSON object. Line {number} of '{path}': {error}. Write one object a line."
        ) from error
    if not isinstance(entry, dict):
        raise DataError(f"every line must be one JSON object. Line {number} of '{path}' is {line[:60]!r}.")
    return entry


def _path(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"an image must be given by its path. {where} has {value!r}. Fill it in.")
    return value
