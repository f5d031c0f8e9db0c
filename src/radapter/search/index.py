"""Features of a folder's images in one safetensors file, and the exact search in it.

The file is mapped into memory when it is read. It holds the tensors `features` (N, E), `stamps` (N, 2), each file's
size and time of change, and `paths`, the files' names relative to the folder, each ended by a zero byte. Its
metadata names the model, and holds the SHA-256 of the features and one of everything. Both are checked on reading.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from radapter.errors import DataError
from radapter.evaluation.cosines import TILE, check_unit_norm, in_tiles, nearest
from radapter.schemas import check_schema
from radapter.storage import sha256_of_tensors, write_tensors

_KIND = "radapter image index {}"
_READS = (1, 2)
"""Version 1 has no SHA-256 of everything."""


@final
@dataclass(frozen=True, eq=False)
class ImageIndex:
    """N images of a folder.

    Attributes:
        model: Identifies the weights that gave the features.
        paths: Relative to the folder, N, distinct.
        stamps: (N, 2), int64: bytes, and time of change in nanoseconds since 1970.
        features: Unit norm, (N, E), float32.
    """

    model: str
    paths: tuple[str, ...]
    stamps: Tensor
    features: Tensor

    def __len__(self) -> int:
        return len(self.paths)


@final
@dataclass(frozen=True)
class Hit:
    """One image found.

    Attributes:
        rank: 1 is best.
        cosine: Of image and text, in [-1, 1].
        path: Relative to the folder that was indexed.
    """

    rank: int
    cosine: float
    path: str


def find(index: ImageIndex, text_features: Tensor, *, top: int) -> list[list[Hit]]:
    """For each text its nearest images, best first; the first by path if cosines are equal.

    Args:
        index: Of the same model; read in tiles.
        text_features: Unit norm, (Q, E).
        top: Images per text; all if there are fewer.

    Raises:
        ValueError: `top` is below 1, or a text is not of unit norm.
    """
    cosines, rows = nearest(text_features, in_tiles(index.features, TILE), top=top)
    return [
        [
            Hit(rank, cosine, index.paths[row])
            for rank, (cosine, row) in enumerate(zip(*found, strict=True), start=1)
        ]
        for found in zip(cosines.tolist(), rows.tolist(), strict=True)
    ]


def write_index(path: str | os.PathLike[str], index: ImageIndex) -> None:
    """Writes an index; a reader sees the old or the new one, never a part."""
    names = b"".join(os.fsencode(name) + b"\0" for name in index.paths)
    tensors = {
        "features": index.features,
        "stamps": index.stamps,
        "paths": torch.frombuffer(bytearray(names), dtype=torch.uint8),
    }
    about = {
        "kind": _KIND.format(_READS[-1]),
        "model": index.model,
        "features": _features_sha256(index.features),
    }
    write_tensors(path, tensors, metadata={**about, "sha256": _content_sha256(about, tensors)})


def _features_sha256(features: Tensor) -> str:
    return sha256_of_tensors([("features", features)])


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
    except (SafetensorError, OSError) as error:
        raise _refused(path, str(error)) from error
    try:
        parts = bytes(names.numpy()).split(b"\0")
        paths = tuple(os.fsdecode(part) for part in parts[:-1])
        _check(paths, stamps, features)
        if _features_sha256(features) != about.get("features"):
            raise ValueError("its features do not match their SHA-256")
        if version > 1 and _content_sha256(about, tensors) != about.get("sha256"):
            raise ValueError("its content does not match its SHA-256")
    except (ValueError, TypeError) as error:
        raise _refused(path, str(error)) from error
    return ImageIndex(about["model"], paths, stamps, features)


def _version(path: str | os.PathLike[str], about: Mapping[str, str]) -> int:
    kind, _, version = about.get("kind", "").rpartition(" ")
    if kind != _KIND.rpartition(" ")[0] or not version.isdecimal() or "model" not in about:
        raise _refused(path, f"its kind is {about.get('kind')!r}, not {_KIND.format(_READS[-1])!r}")
    return check_schema({"schema": int(version)}, Path(path), reads=_READS)


def _content_sha256(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    rest = sha256_of_tensors((name, tensor) for name, tensor in tensors.items() if name != "features")
    said = (about["kind"], about["model"], about["features"], rest)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _check(paths: tuple[str, ...], stamps: Tensor, features: Tensor) -> None:
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
