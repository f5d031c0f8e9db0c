"""Writes samples into numbered tar shards: each whole or absent, with the same bytes every time, and resumable.

webdataset's TarWriter writes the members, with one time and one owner. Its ShardWriter is not used: it opens shards
at their final place, where a reader would see half of one, and cannot resume.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from types import ModuleType
from typing import Any, final

from radapter.data.shards.sizes import SIZES, Shards, read_shards
from radapter.data.splits import Progress
from radapter.errors import ConfigError, DataError, InputError, MissingExtraError, RunError
from radapter.storage import lock, sha256, whole_file

GIGABYTE = 10**9
"""Default size of a shard, in bytes."""

_BLOCK = 512  # of a tar: the size of a header, and the multiple to which contents are padded


@final
@dataclass(frozen=True)
class Sample:
    """A key, unique in its shard and without a dot in the last part, and extension (jpg, json) -> content."""

    key: str
    parts: Mapping[str, bytes]


def write_shards(
    folder: Path,
    items: Callable[[int], Iterable[Sequence[Sample]]],
    total: int,
    *,
    about: Mapping[str, Any],
    shard_size: int = GIGABYTE,
    progress: Progress | None = None,
) -> Shards:
    """Writes shards 00000.tar, 00001.tar, ... and sizes.json, or continues after the last whole shard.

    Shards depend only on the items and `shard_size`: interrupted and resumed calls write bitwise the same shards.

    Args:
        folder: A new or empty folder, or one that an earlier call with the same `about` began.
        items: Items of the source, starting at a number, the same every time; each gives any number of samples.
        total: Number of items of the source.
        about: Fingerprint of the source and every setting that determines the samples, as JSON.
        shard_size: Bytes after which a shard ends, with the item that reaches them.
        progress: Called with (items done, all) after each item.

    Raises:
        ConfigError: `shard_size` is below 1.
        DataError: Existing shards differ from what was written, or a key is invalid or repeated. If no shard was
            written, the folder is left as it was.
        MissingExtraError: webdataset is not installed.
        RunError: `folder` holds other files, or shards of something else; nothing is written.
    """
    if shard_size < 1:
        raise ConfigError(f"the size of a shard must be at least 1 byte. Got {shard_size}.")
    webdataset = require_webdataset()
    fresh = Shards(folder, {}, {}, about, shard_size, items=0, of=total)
    is_new = not folder.exists()
    has_shards = (folder / SIZES).is_file()
    is_empty = folder.is_dir() and all(file.name.startswith(".") for file in folder.iterdir())
    if not is_new and not has_shards and not is_empty:
        raise RunError(
            f"the folder of shards must be new, empty, or hold shards with their {SIZES}. '{folder}' holds "
            "something else. Give another folder."
        )
    with lock(folder):
        done = fresh
        if (folder / SIZES).is_file():
            for draft in folder.glob(".*.part"):  # of a call that was killed
                draft.unlink()
            done = _continued(fresh)
        try:
            done.write()
            coming = _counted(items(done.items), done.items, total, progress)
            while not done.is_complete:
                done = _with_one_more(done, coming, webdataset)
                done.write()
            if not len(done):
                raise DataError(f"shards must hold a sample. None of {total} items for '{folder}' has one.")
        except InputError:
            if not done.counts:
                for name in (SIZES, ".lock"):
                    (folder / name).unlink(missing_ok=True)
                if is_new:
                    folder.rmdir()
            raise
    return done


def require_webdataset() -> ModuleType:
    """The module webdataset; raises MissingExtraError if this extra is not installed."""
    try:
        import webdataset
    except ImportError as error:
        raise MissingExtraError(
            "tar shards need webdataset, which is not installed. Run pip install 'radapter[webdataset]'."
        ) from error
    module: ModuleType = webdataset
    return module


def _counted(
    items: Iterable[Sequence[Sample]], start: int, total: int, progress: Progress | None
) -> Iterator[tuple[int, Sequence[Sample]]]:
    """Items that give samples, each with the number of items up to it."""
    for number, samples in zip(range(start + 1, total + 1), items, strict=True):
        if progress is not None:
            progress(number, total)
        if samples:
            yield number, samples


def _with_one_more(
    done: Shards, coming: Iterator[tuple[int, Sequence[Sample]]], webdataset: ModuleType
) -> Shards:
    """Writes the next shard, if an item with a sample is left."""
    first = next(coming, None)
    if first is None:
        return replace(done, items=done.of)
    keys: set[str] = set()
    name, size, items = f"{len(done.counts):05d}.tar", 0, done.items
    path = done.folder / name
    # One time and one owner: otherwise the bytes would depend on who wrote them and when.
    fixed = {"user": "", "group": "", "mode": 0o644, "mtime": 0, "encoder": False, "compress": False}
    with whole_file(path) as file, webdataset.TarWriter(file, **fixed) as tar:
        for number, samples in itertools.chain([first], coming):
            for sample in samples:
                _check_key(sample.key, keys)
                tar.write({"__key__": sample.key, **sample.parts})
                size += sum(_BLOCK + -(-len(part) // _BLOCK) * _BLOCK for part in sample.parts.values())
            items = number
            if size >= done.shard_size:
                break
        else:
            items = done.of  # including the last ones, without samples
    return replace(
        done,
        counts={**done.counts, name: len(keys)},
        sizes={**done.sizes, name: path.stat().st_size},
        hashes={**done.hashes, name: sha256(path)},
        items=items,
    )


def _check_key(key: str, keys: set[str]) -> None:
    """Adds a key to those of its shard; raises DataError if it is invalid or repeated."""
    last = key.rpartition("/")[2]
    parts = PureWindowsPath(key)
    if not last or "." in last or parts.anchor or ".." in parts.parts or key.startswith("__"):
        raise DataError(
            f"a sample's key must be a relative name without a dot in its last part. Got {key!r}."
        )
    if key in keys:
        raise DataError(f"keys of a shard must differ. {key!r} is repeated. Number the samples.")
    keys.add(key)


def _continued(fresh: Shards) -> Shards:
    """The shards already in the folder; raises RunError if their source or settings differ."""
    found = read_shards(fresh.folder, unlisted=True)
    if not found.counts:  # an earlier call stopped before its first shard
        return fresh
    here = {**fresh.about, "items": fresh.of, "size of a shard": fresh.shard_size}
    there = {**found.about, "items": found.of, "size of a shard": found.shard_size}
    changed = [
        f"{key}: {here.get(key)!s:.60}, there {there.get(key)!s:.60}"
        for key in dict.fromkeys([*here, *there])
        if here.get(key) != there.get(key)
    ]
    if changed:
        raise RunError(
            f"'{fresh.folder}' holds shards that were written from something else: {'; '.join(changed)}. Give "
            "another folder, or the same source and settings to continue."
        )
    return found
