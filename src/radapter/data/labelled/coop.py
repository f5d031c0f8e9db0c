"""The split files of CoOp, `split_zhou_*.json`: which picture is in train, val and test, and its class.

    {"train": [["dog/1.jpg", 0, "dog"], ...], "val": [...], "test": [...]}

Source: Zhou et al., "Learning to prompt for vision-language models", IJCV 2022, which wrote them for its data sets.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radapter.data.labelled.labels import Source
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.pictures.image_files import files_inside
from radapter.data.pictures.pictures import FilePictures
from radapter.errors import ConfigError, DataError, did_you_mean

Entry = tuple[str, int, str]
"""Path, label, class name."""


def read_coop(path: Path, *, images: Path, split: str = "train", max_pixels: int = MAX_PIXELS) -> Source:
    """One split of a file; the class list is that of all its splits, in the order of the labels.

    Underscores in class names are read as spaces, as CoOp's prompts have them.

    Args:
        path: the JSON file.
        images: the folder that its paths start at.
        split: train, val or test.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: the file has no such split.
        DataError: the file is missing or no such file, a label has two names or a name two labels, a path leaves
            `images`, or pictures are missing.
    """
    splits = _entries(path)
    if split not in splits:
        raise ConfigError(
            f"split must be one of {', '.join(splits)}. '{path}' has no {split!r}.{did_you_mean(split, splits)}"
        )
    classnames = _classnames([entry for entries in splits.values() for entry in entries], path)
    files = files_inside([file for file, _, _ in splits[split]], images, origin=path)
    labels = [classnames[label] for _, label, _ in splits[split]]
    return Source(
        path.stem, FilePictures(files, max_pixels=max_pixels), labels, tuple(classnames.values()), None
    )


def _entries(path: Path) -> dict[str, list[Entry]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"split file must be a JSON file. '{path}': {error}.") from error
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"split file must map train, val and test to lists. '{path}' holds no such mapping.")
    return {str(split): [_entry(row, path) for row in _rows(content[split], path)] for split in content}


def _rows(rows: Any, path: Path) -> list[Any]:
    if not isinstance(rows, list):
        raise DataError(
            f"split file must map train, val and test to lists. '{path}' also holds {str(rows)[:60]!r}."
        )
    return rows


def _entry(row: Any, path: Path) -> Entry:
    match row:
        case [str(file), int(label), str(name)] if file and name and not isinstance(label, bool):
            return file, label, name.replace("_", " ")
    raise DataError(f"every entry must be [path, label, class name]. '{path}' has {str(row)[:80]}.")


def _classnames(entries: Sequence[Entry], path: Path) -> dict[int, str]:
    """Label -> name, in the order of the labels; names and labels must go one to one."""
    pairs = sorted({(label, name) for _, label, name in entries})
    names, labels = dict(pairs), {name: label for label, name in pairs}
    torn = [f"{label} is {name!r}" for label, name in pairs if (names[label], labels[name]) != (name, label)]
    if torn:
        raise DataError(
            f"every label must have one class name, and every name one label. In '{path}' {len(torn)} also read "
            f"otherwise: {', '.join(torn[:3])}{' ...' if len(torn) > 3 else ''}. Correct the file."
        )
    return names
