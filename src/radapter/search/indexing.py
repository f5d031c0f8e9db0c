"""Encodes the images of a folder, except those that an index already holds unchanged."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from radapter.data.in_threads import attempt
from radapter.data.labelled.class_folders import images_in
from radapter.data.pictures.decoding import decode
from radapter.errors import DataError, ImageError
from radapter.evaluation.features import encode_images
from radapter.models import DualEncoder
from radapter.search.index import ImageIndex

Progress = Callable[[int, int], None]
"""Called with the number of images done, and of all that are to be encoded."""


@final
@dataclass(frozen=True)
class Indexed:
    """A folder's index and how it was made.

    Attributes:
        index: Of all readable images, in the order of their paths.
        encoded: Number of images encoded now.
        kept: Number taken from the known index.
        dropped: Number in the known index that are no longer in the folder, unreadable or encoded again.
        unreadable: A message for each image that could not be decoded.
    """

    index: ImageIndex
    encoded: int
    kept: int
    dropped: int
    unreadable: tuple[str, ...]


def images_below(folder: Path) -> list[str]:
    """The image files at any depth, relative to `folder`, sorted; hidden ones are left out. Raises DataError if
    `folder` is no folder, or holds no image."""
    if not folder.is_dir():
        raise DataError(f"image folder must exist. '{folder}' is not a folder. Give another.")
    found = sorted(os.path.relpath(path, folder) for path in images_in(folder))
    if not found:
        raise DataError(
            f"image folder must hold an image, at any depth. '{folder}' holds none. Give another folder."
        )
    return found


def index_folder(
    encoder: DualEncoder,
    folder: Path,
    *,
    model: str,
    known: ImageIndex | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Indexed:
    """The index of a folder as it is now.

    An image is taken from `known` if path, size and time of change are the same; the others are encoded.

    Args:
        encoder: Encodes at its current weights.
        folder: Read at any depth.
        model: Identifies these weights.
        known: An earlier index of this folder by this model; None encodes everything.
        batch_size: Images at a time.
        progress: Called after each batch.

    Raises:
        DataError: The folder holds no readable image, or `known` is of another model, or of another folder: none of
            this folder's files is in it unchanged.
    """
    paths = images_below(folder)
    stamps = {path: _stamp(folder / path) for path in paths}
    rows = {} if known is None else _unchanged(known, stamps, folder=folder, model=model)
    fresh = [path for path in paths if path not in rows]
    unreadable: list[str] = []
    features: dict[str, Tensor] = {}
    for group, found in _decoded(encoder, folder, fresh, batch_size=batch_size):
        readable = [path for path in group if not isinstance(found[path], ImageError)]
        unreadable += [str(error) for error in found.values() if isinstance(error, ImageError)]
        if readable:
            pixels = torch.stack([p for p in found.values() if isinstance(p, Tensor)])
            features |= zip(readable, encode_images(encoder, [pixels]).float(), strict=True)
        if progress is not None:
            progress(len(features) + len(unreadable), len(fresh))
    kept = [path for path in paths if path in rows or path in features]
    if not kept:
        raise DataError(
            f"image folder must hold a readable image. None of the {len(paths)} in '{folder}' is: {unreadable[0]}"
        )
    if known is not None and not features and kept == list(known.paths):
        return Indexed(known, 0, len(known), 0, tuple(unreadable))
    joined = torch.stack([features[path] if path in features else _row(known, rows, path) for path in kept])
    index = ImageIndex(model, tuple(kept), torch.tensor([stamps[path] for path in kept]), joined)
    dropped = 0 if known is None else len(known) - len(rows)
    return Indexed(index, len(features), len(rows), dropped, tuple(unreadable))


def _unchanged(
    known: ImageIndex, stamps: Mapping[str, tuple[int, int]], *, folder: Path, model: str
) -> dict[str, int]:
    if known.model != model:
        raise DataError(
            f"index must be of this model, {model}. It is of {known.model}. Give another --index, or remove it to "
            "have a new one made."
        )
    then = zip(known.paths, known.stamps.tolist(), strict=True)
    rows = {path: row for row, (path, stamp) in enumerate(then) if stamps.get(path) == tuple(stamp)}
    if not rows:
        raise DataError(
            f"index must be of this folder, '{folder}'. Of its {len(known)} images, such as '{known.paths[0]}', "
            "none is here as it was. Give another --index, or remove it to have a new one made."
        )
    return rows


def _decoded(
    encoder: DualEncoder, folder: Path, paths: Sequence[str], *, batch_size: int
) -> Iterator[tuple[Sequence[str], dict[str, Tensor | ImageError]]]:
    def one(path: str) -> Tensor:
        return encoder.preprocess(decode(folder / path, where=str(folder / path)))

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), batch_size):
            group = paths[start : start + batch_size]
            yield group, dict(zip(group, pool.map(partial(attempt, one), group), strict=True))


def _row(known: ImageIndex | None, rows: Mapping[str, int], path: str) -> Tensor:
    assert known is not None
    return known.features[rows[path]]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns
