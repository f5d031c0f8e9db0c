"""An index of a folder's images: its safetensors file, the encoding of new images, and the exact search in it.

The file is mapped into memory when it is read. It holds the tensors `features` (N, E), `stamps` (N, 2), each file's
size and time of change, and `paths`, the files' names relative to the folder, each followed by a zero byte. Its
metadata holds the model's identity, the SHA-256 of the features and that of everything. Both are checked on reading.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from radapter.data.images.decoding import decode
from radapter.data.in_threads import attempt
from radapter.data.labelled.class_folders import images_in
from radapter.data.splits import Progress
from radapter.errors import DataError, ImageError
from radapter.evaluation.cosines import TILE, check_unit_norm, in_tiles, nearest
from radapter.evaluation.features import encode_images
from radapter.models import DualEncoder
from radapter.schemas import check_schema
from radapter.storage import sha256_of_tensors, write_tensors

_KIND = "radapter image index"
_READS = (1, 2)  # version 1 has no SHA-256 of everything


@final
@dataclass(frozen=True, eq=False)
class ImageIndex:
    """N images of a folder."""

    model: str  # identifies the weights that gave the features
    paths: tuple[str, ...]  # relative to the folder, distinct
    stamps: Tensor  # (N, 2), int64: bytes, and time of change in nanoseconds since 1970
    features: Tensor  # unit norm, (N, E), float32

    def __len__(self) -> int:
        return len(self.paths)


class Hit(NamedTuple):
    """One image found."""

    rank: int  # 1 is best
    cosine: float  # of image and text, in [-1, 1]
    path: str  # relative to the folder of the index


@final
@dataclass(frozen=True)
class Indexed:
    """A folder's index and how it was made."""

    index: ImageIndex  # of all readable images, in the order of their paths
    encoded: int  # images encoded now
    kept: int  # images taken from the known index
    dropped: int  # images of the known index that are gone, unreadable or encoded again
    unreadable: tuple[str, ...]  # a message for each image that could not be decoded


def find(index: ImageIndex, text_features: Tensor, *, top: int) -> list[list[Hit]]:
    """For each of Q texts, (Q, E) of unit norm and of the index's model, its `top` nearest images, all if there are
    fewer, best first; the first by path if cosines are equal. Raises ValueError if `top` is below 1, or a text is
    not of unit norm."""
    cosines, rows = nearest(text_features, in_tiles(index.features, TILE), top=top)
    named = [[index.paths[row] for row in of_text] for of_text in rows.tolist()]
    return [
        [Hit(rank, *hit) for rank, hit in enumerate(zip(found, paths, strict=True), start=1)]
        for found, paths in zip(cosines.tolist(), named, strict=True)
    ]


def images_below(folder: Path) -> list[str]:
    """The image files at any depth, relative to `folder`, sorted, without hidden ones. Raises DataError if `folder`
    is not a folder, or has no image."""
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
    """Indexes a folder, at any depth.

    An image is taken from `known` if path, size and time of change are the same; the others are encoded.

    Args:
        encoder: Encodes at its current weights.
        folder: Of the images.
        model: Identifies these weights.
        known: An earlier index of this folder by this model; None encodes everything.
        batch_size: Images at a time.
        progress: Called after each batch with the images done and all that are to be encoded.

    Raises:
        DataError: The folder has no readable image, or `known` is of another model, or of another folder: none of
            this folder's files is in it unchanged.
    """
    paths = images_below(folder)
    stamps = {path: _stamp(folder / path) for path in paths}
    rows = {} if known is None else _unchanged(known, stamps, folder=folder, model=model)
    fresh = [path for path in paths if path not in rows]
    encoded: dict[str, Tensor] = {}
    unreadable: list[str] = []

    def pixels_of(path: str) -> Tensor:
        return encoder.preprocess(decode(folder / path, where=str(folder / path)))

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(fresh), batch_size):
            group = fresh[start : start + batch_size]
            found = dict(zip(group, pool.map(partial(attempt, pixels_of), group), strict=True))
            unreadable += [str(error) for error in found.values() if isinstance(error, ImageError)]
            readable = {path: pixels for path, pixels in found.items() if isinstance(pixels, Tensor)}
            if readable:
                batch = torch.stack(list(readable.values()))
                encoded |= zip(readable, encode_images(encoder, [batch]).float(), strict=True)
            if progress is not None:
                progress(len(encoded) + len(unreadable), len(fresh))
    present = tuple(path for path in paths if path in rows or path in encoded)
    if not present:
        raise DataError(
            f"image folder must hold a readable image. None of the {len(paths)} in '{folder}' is: {unreadable[0]}"
        )
    if known is not None and not encoded and present == known.paths:
        return Indexed(known, 0, len(known), 0, tuple(unreadable))
    old = torch.empty(0) if known is None else known.features
    features = torch.stack([encoded[path] if path in encoded else old[rows[path]] for path in present])
    index = ImageIndex(model, present, torch.tensor([stamps[path] for path in present]), features)
    return Indexed(index, len(encoded), len(rows), len(known or ()) - len(rows), tuple(unreadable))


def write_index(path: str | os.PathLike[str], index: ImageIndex) -> None:
    """Writes an index; a reader sees the old or the new one, never a part."""
    names = b"".join(os.fsencode(name) + b"\0" for name in index.paths)
    paths = torch.frombuffer(bytearray(names), dtype=torch.uint8)
    tensors = {"features": index.features, "stamps": index.stamps, "paths": paths}
    features = sha256_of_tensors([("features", index.features)])
    about = {"kind": f"{_KIND} {_READS[-1]}", "model": index.model, "features": features}
    write_tensors(path, tensors, metadata={**about, "sha256": _content_sha256(about, tensors)})


def read_index(path: str | os.PathLike[str]) -> ImageIndex:
    """Reads a file of `write_index`; the features stay in the file until they are used. Raises DataError if the file
    is missing, damaged, or no index."""
    if not Path(path).is_file():
        raise _refused(path, "there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            version = _version(path, about)
            tensors = {name: file.get_tensor(name) for name in ("features", "stamps", "paths")}
            features, stamps, names = tensors.values()
        paths = tuple(os.fsdecode(part) for part in bytes(names.numpy()).split(b"\0")[:-1])
        _check(paths, stamps, features)
        if sha256_of_tensors([("features", features)]) != about.get("features"):
            raise ValueError("its features do not match their SHA-256")
        if version > 1 and _content_sha256(about, tensors) != about.get("sha256"):
            raise ValueError("its content does not match its SHA-256")
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise _refused(path, str(error)) from error
    return ImageIndex(about["model"], paths, stamps, features)


def _unchanged(
    known: ImageIndex, stamps: Mapping[str, tuple[int, int]], *, folder: Path, model: str
) -> dict[str, int]:
    """The rows of the images that have not changed, by path."""
    if known.model != model:
        raise DataError(
            f"index must be of this model, {model}. It is of {known.model}. Give another --index, or remove it to "
            "have a new one made."
        )
    then = zip(known.paths, known.stamps.tolist(), strict=True)
    rows = {path: row for row, (path, stamp) in enumerate(then) if stamps.get(path) == tuple(stamp)}
    if not rows:
        raise DataError(
            f"index must be of this folder, '{folder}'. None of its {len(known)} images, such as "
            f"'{known.paths[0]}', is in the folder unchanged. Give another --index, or remove it to have a new one "
            "made."
        )
    return rows


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _version(path: str | os.PathLike[str], about: Mapping[str, str]) -> int:
    kind, _, version = about.get("kind", "").rpartition(" ")
    if kind != _KIND or not version.isdecimal() or "model" not in about:
        raise ValueError(f"its kind is {about.get('kind')!r}, not '{_KIND} {_READS[-1]}'")
    return check_schema({"schema": int(version)}, Path(path), reads=_READS)


def _content_sha256(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    rest = sha256_of_tensors((name, tensor) for name, tensor in tensors.items() if name != "features")
    parts = (about["kind"], about["model"], about["features"], rest)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check(paths: Sequence[str], stamps: Tensor, features: Tensor) -> None:
    rows = len(paths)
    if features.dtype != torch.float32 or features.ndim != 2 or len(features) != rows:
        raise ValueError(f"features are {features.dtype} {tuple(features.shape)} for {rows} paths")
    if stamps.dtype != torch.int64 or tuple(stamps.shape) != (rows, 2):
        raise ValueError(f"stamps are {stamps.dtype} {tuple(stamps.shape)} for {rows} paths")
    if len(set(paths)) < rows:
        raise ValueError("a path occurs twice")
    for part in in_tiles(features, TILE):
        check_unit_norm("features", part)


def _refused(path: str | os.PathLike[str], reason: str) -> DataError:
    return DataError(
        f"index must be a whole file that 'radapter search --index' wrote. '{os.fspath(path)}': {reason}. "
        "Remove it to have a new one made, or give another."
    )
