"""JSON Lines: one object a line, with an image's path and its caption or captions."""

from pathlib import Path
from typing import Any

from radapter.data.pairs.captioned import CaptionedSource, gathered, group_id, texts_of
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.pictures.image_files import files_of_table, refuse_missing
from radapter.data.pictures.pictures import FilePictures
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import parse_json, text_lines


def read_pair_lines(
    path: Path,
    *,
    image: str = "image",
    captions: str = "captions",
    group: str | None = None,
    images: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CaptionedSource:
    """A file of lines such as {"image": "a.jpg", "captions": ["a dog", "a brown dog"]}.

    Args:
        path: UTF-8; empty lines are skipped.
        image: key of the image's path.
        captions: key of the caption, or list of captions.
        group: key of the group id, text or a whole number; None makes the image the group.
        images: folder, seen from the file's, where relative paths start; None is the file's own.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: a line has no such key.
        DataError: the file is missing or empty, a line is no such object, an image is not there or has two groups.
    """
    entries = list(_entries(path))
    if not entries:
        raise DataError(f"JSON Lines file must have a line. '{path}' has none.")
    keys = (image, captions) if group is None else (image, captions, group)
    for number, entry in entries:
        for key in keys:
            if key not in entry:
                raise ConfigError(
                    f"key must be one of {', '.join(entry)}. Line {number} of '{path}' has no {key!r}."
                    f"{did_you_mean(key, entry)}"
                )
    paths = [_path(entry[image], f"line {number} of '{path}'") for number, entry in entries]
    texts = [texts_of(entry[captions], f"line {number} of '{path}'") for number, entry in entries]
    ids = None
    if group is not None:
        ids = [group_id(entry[group], f"line {number} of '{path}'") for number, entry in entries]
    rows = gathered(paths, texts, ids, origin=path.name)
    folder = path.parent / (images or "")
    files = files_of_table(rows.images, folder, origin=path)
    refuse_missing(files, names=rows.images, origin=path, folder=folder)
    return CaptionedSource(path.stem, FilePictures(files, max_pixels=max_pixels), rows.captions, rows.groups)


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
