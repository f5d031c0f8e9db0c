"""Splits by content: the part that an image belongs to depends on its bytes alone.

The first 8 bytes of an image's SHA-256, as a fraction of 2^64, are uniform in [0, 1). A part [low, high) holds the
images whose fraction lies in it. Adding, renaming or reordering files moves no other image between parts, and copies
of one image are always in the same part.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from radapter.data.images.bad_images import BadImages
from radapter.data.images.sequences import FileImages, Images
from radapter.errors import ConfigError, ImageError

UNREADABLE = 0  # the key of an image whose bytes cannot be read
Progress = Callable[[int, int], None]
"""Called with (done, total)."""


def content_keys(
    images: Images, rows: Tensor, *, known: Tensor | None = None, progress: Progress | None = None
) -> Tensor:
    """Hashes the images at `rows`. A file with unchanged path, size and time of change is hashed once per process.

    Args:
        rows: (N,), int64, into the M images.
        known: (M,), int64, keys that the source already has; then nothing is hashed.

    Returns:
        (N,), int64: the first 8 bytes of the SHA-256, big-endian, signed; UNREADABLE if reading failed.
    """
    if known is not None:
        return known[rows]
    keys = torch.empty(len(rows), dtype=torch.int64)
    for position, row in enumerate(rows.tolist()):
        keys[position] = _key(images, row)
        if progress is not None and (position % 256 == 255 or position + 1 == len(rows)):
            progress(position + 1, len(rows))
    return keys


def fingerprint(*content: Tensor | str) -> str:
    """SHA-256 of what defines a data set: its keys, its labels, its texts."""
    digest = hashlib.sha256()
    for each in content:
        part = each.encode() if isinstance(each, str) else each.to(torch.int64).numpy().tobytes()
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def in_part(keys: Tensor, low: float, high: float, *, split_seed: int = 0) -> Tensor:
    """Returns which images, given their keys (N,), belong to the part [low, high) of all: (N,), bool.

    Another `split_seed` gives another, independent split; 0 uses the keys as they are. Raises ConfigError unless
    0 <= low < high <= 1.
    """
    if not 0 <= low < high <= 1:
        raise ConfigError(f"part must be [low, high) with 0 <= low < high <= 1. Got [{low}, {high}].")
    # Integers throughout: rounded to a float, the largest keys would become 1.0 and fall out of every part.
    first, end = (int(Fraction(bound) * 2**64) for bound in (low, high))
    return torch.tensor(
        [first <= _position(key, split_seed) < end for key in keys.tolist()], dtype=torch.bool
    )


def _position(key: int, split_seed: int) -> int:
    if split_seed == 0:
        return key % 2**64
    salted = split_seed.to_bytes(16, "big", signed=True) + key.to_bytes(8, "big", signed=True)
    return int.from_bytes(hashlib.sha256(salted).digest()[:8], "big")


def _key(images: Images, row: int) -> int:
    identity = None
    if isinstance(images, FileImages):
        path = os.path.realpath(images.paths[row])
        with contextlib.suppress(OSError):
            status = os.stat(path)  # noqa: PTH116
            identity = path, status.st_size, status.st_mtime_ns
    if identity is not None and identity in _seen:
        return _seen[identity]
    try:
        key = key_of(images.content(row))
    except ImageError:
        return UNREADABLE
    if identity is not None:
        with _lock:
            _seen[identity] = key
    return key


def key_of(content: bytes) -> int:
    """The first 8 bytes of the SHA-256, big-endian, as a signed 64-bit integer."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big", signed=True)


_seen: dict[tuple[str, int, int], int] = {}
_lock = threading.Lock()


def refuse_unreadable(images: Images, rows: Tensor, keys: Tensor, *, name: str, max_bad: float) -> None:
    """Raises DataError if more than the fraction `max_bad` of the images at `rows` (keys: `keys`) is unreadable."""
    bad = BadImages(name, len(rows), max_bad=max_bad)
    for row in rows[keys == UNREADABLE].tolist():
        try:
            images.content(row)
        except ImageError as error:
            bad.add(row, error)
