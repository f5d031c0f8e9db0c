"""sizes.json: how many samples each shard of a folder holds, and what they were written from.

    {"00000.tar": 9412, "00001.tar": 9388,
     "written": {"schema": 2, "from": {...}, "shard_size": 1000000000, "bytes": {"00000.tar": 1000005632, ...},
                 "sha256": {"00000.tar": "9f3a...", ...}, "samples": 18800, "items": [18800, 18800]}}

The names with their counts are what open_clip's sizes.json has, so that its readers take the folder too.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from radapter.data.tars import list_tar, samples
from radapter.errors import DamagedError, DataError
from radapter.manifests import check_recorded
from radapter.schemas import check_schema
from radapter.storage import read_json, write_json

SIZES = "sizes.json"
_READS = (1, 2)
"""Version 1 has no SHA-256."""

_SHARD = re.compile(r"\d{5,}\.tar")
_WRITTEN = "written"
_REMEDY = "Write the folder again with 'radapter shards'."


@final
@dataclasses.dataclass(frozen=True)
class Shards:
    """A folder of shards.

    Attributes:
        folder: where they lie.
        counts: samples of each shard, by name, in the order in which they were written.
        sizes: bytes of each.
        hashes: SHA-256 of each; of those that an older radapter wrote there is none.
        about: what they were written from, as JSON.
        shard_size: bytes that a shard was to have.
        items: of the source, in the shards; an item gives any number of samples.
        of: items of the source.
    """

    folder: Path
    counts: Mapping[str, int]
    sizes: Mapping[str, int]
    about: Mapping[str, Any]
    shard_size: int
    items: int
    of: int
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """Samples in all."""
        return sum(self.counts.values())

    @property
    def is_complete(self) -> bool:
        """Whether every item of the source is in."""
        return self.items == self.of

    @property
    def paths(self) -> list[Path]:
        """The shards, in the order in which they were written."""
        return [self.folder / name for name in self.counts]

    def write(self) -> None:
        """Writes sizes.json, whole."""
        written = {
            "schema": _READS[-1],
            "from": dict(self.about),
            "shard_size": self.shard_size,
            "bytes": dict(self.sizes),
            "sha256": dict(self.hashes),
            "samples": len(self),
            "items": [self.items, self.of],
        }
        write_json(self.folder / SIZES, {**self.counts, _WRITTEN: written})


def read_shards(folder: Path, *, unlisted: bool = False) -> Shards:
    """What a folder of shards holds, after comparing its files with sizes.json by name and size.

    Shards are not opened unless a number differs; then samples are counted, so that the message says which shard
    it is and what it holds. The small files are compared with the folder's manifest; `radapter verify` reads the
    shards too.

    Args:
        folder: which `write_shards` wrote, complete or not.
        unlisted: whether tars may lie there that sizes.json does not name, as after a crash before it was written.

    Raises:
        DataError: there is no sizes.json, it is no whole one, or a shard is missing or differs from it.
        DamagedError: a small file differs from its record.
    """
    check_recorded(folder)
    found, samples_in_all = _read(folder)
    for path in found.paths:
        if not path.is_file():
            raise DataError(
                f"every shard of {SIZES} must be there. '{path}' is not; it should hold {found.counts[path.name]} "
                f"samples. Copy it, or remove {SIZES} and the shards and write them again."
            )
        if path.stat().st_size != found.sizes[path.name]:
            refuse_count(found, path)
            raise DataError(
                f"a shard must have the bytes that {SIZES} says, {found.sizes[path.name]}. '{path}' has "
                f"{path.stat().st_size}. {_REMEDY}"
            )
    if len(found) != samples_in_all:
        for path in found.paths:
            refuse_count(found, path)
        raise DataError(
            f"{SIZES} must add up. '{folder}': its shards have {len(found)} samples, it says {samples_in_all} in "
            f"all. {_REMEDY}"
        )
    strangers = sorted({path.name for path in folder.glob("*.tar")} - found.counts.keys())
    if strangers and not unlisted:
        raise DataError(
            f"every shard must be in {SIZES}. In '{folder}' it lacks {', '.join(strangers[:3])}. Remove what does "
            "not belong there, or go on writing with 'radapter shards'."
        )
    return found


def refuse_count(found: Shards, shard: Path) -> None:
    """Raises DataError where a shard is damaged, or has another number of samples than sizes.json says."""
    expected, there = found.counts[shard.name], len(samples(list_tar(shard)))
    if there != expected:
        raise DataError(
            f"a shard must hold as many samples as {SIZES} says. '{shard}' holds {there}, {SIZES} says "
            f"{expected}. {_REMEDY}"
        )


def _read(folder: Path) -> tuple[Shards, int]:
    """What sizes.json says, and the samples that it says there are in all."""
    file = folder / SIZES
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise DataError(
            f"a folder of shards must have a {SIZES}. '{folder}' has none. Write it with 'radapter shards DATA --to "
            f"{folder}'."
        ) from None
    except DamagedError as error:
        raise DataError(str(error)) from error
    try:
        written = content.pop(_WRITTEN)
        check_schema(written, file, reads=_READS)
        hashes = written.get("sha256", {})
        sizes = {name: int(written["bytes"][name]) for name in content}
        samples_in_all, (items, of) = written["samples"], written["items"]
        found = Shards(
            folder,
            content,
            sizes,
            dict(written["from"]),
            int(written["shard_size"]),
            int(items),
            int(of),
            hashes,
        )
        numbers = [*content.values(), samples_in_all, items, of]
        whole = isinstance(hashes, dict) and all(isinstance(value, str) for value in hashes.values())
        whole = (
            whole
            and hashes.keys() <= content.keys()
            and all(type(number) is int and number >= 0 for number in numbers)
            and items <= of
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        whole = False
    # A name is opened as it stands: it must not lead out of the folder.
    if not whole or not all(_SHARD.fullmatch(name) for name in content):
        raise DataError(f"{SIZES} must be as 'radapter shards' writes it. '{file}' is not. {_REMEDY}")
    return found, samples_in_all
