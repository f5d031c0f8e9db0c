"""What describes a folder of shards: sizes.json and the content keys.

sizes.json has the number of samples in each shard, and what they were written from:

    {"00000.tar": 9412, "00001.tar": 9388,
     "written": {"schema": 2, "from": {...}, "shard_size": 1000000000, "bytes": {"00000.tar": 1000005632, ...},
                 "sha256": {"00000.tar": "9f3a...", ...}, "samples": 18800, "items": [18800, 18800]}}

open_clip's sizes.json has the same names and counts, so its readers accept the folder too.

contents.safetensors has the content keys of all images, for the leak guard: 8 bytes for each image, memory-mapped,
so that a stream needs no list of its samples.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, final

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt
from safetensors.torch import save
from torch import Tensor

from radapter.data.tars import list_tar, samples
from radapter.errors import DamagedError, DataError, ModelError
from radapter.manifests import check_recorded
from radapter.schemas import check_schema
from radapter.storage import load_weights, read_json, whole_file, write_json

SIZES = "sizes.json"
CONTENTS = "contents.safetensors"
_READS = (1, 2)
"""Version 1 has no SHA-256."""
_WRITTEN = "written"
_REMEDY = "Write the folder again with 'radapter shards'."


@final
@dataclasses.dataclass(frozen=True)
class Shards:
    """A folder of shards."""

    folder: Path
    counts: Mapping[str, int]  # samples in each shard, by name, in the order of writing
    sizes: Mapping[str, int]  # bytes of each shard
    about: Mapping[str, Any]  # what they were written from, as JSON
    shard_size: int  # bytes after which a shard ends
    items: int  # of the source, written so far; an item gives any number of samples
    of: int  # items of the source
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)  # SHA-256; version 1 has none

    def __len__(self) -> int:
        """Samples in all shards."""
        return sum(self.counts.values())

    @property
    def is_complete(self) -> bool:
        """Whether every item of the source was written."""
        return self.items == self.of

    @property
    def paths(self) -> list[Path]:
        """The shards, in the order of writing."""
        return [self.folder / name for name in self.counts]

    def write(self) -> None:
        """Writes sizes.json, whole or not at all."""
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


class _Sizes(BaseModel):
    """sizes.json; a name is opened as it is, so it must not lead out of the folder."""

    model_config = ConfigDict(strict=True)
    counts: dict[Annotated[str, Field(pattern=r"^\d{5,}\.tar$")], NonNegativeInt]
    about: dict[str, Any] = Field(alias="from")
    shard_size: int
    bytes: dict[str, int]
    sha256: dict[str, str] = {}
    samples: NonNegativeInt
    items: list[NonNegativeInt]


def read_shards(folder: Path, *, unlisted: bool = False) -> Shards:
    """Reads sizes.json, and compares the files of the folder with it by name and size.

    Samples are counted only if a number differs, so that the message can say what each shard holds. Small files are
    compared with the folder's manifest; `radapter verify` reads the shards too. With `unlisted`, sizes.json may lack
    a tar of the folder, as after a crash before it was written.

    Raises:
        DataError: sizes.json is missing or damaged, or a shard is missing or differs from it.
        DamagedError: A small file differs from its record.
    """
    check_recorded(folder)
    found, total = _read(folder)
    for path in found.paths:
        if not path.is_file():
            raise DataError(
                f"every shard of {SIZES} must be there. '{path}' is not; it should hold {found.counts[path.name]} "
                f"samples. Copy it, or remove {SIZES} and the shards and write them again."
            )
        size, expected = path.stat().st_size, found.sizes[path.name]
        if size != expected:
            refuse_count(found, path)
            raise DataError(f"a shard must have {expected} bytes. '{path}' has {size}. {_REMEDY}")
    if len(found) != total:
        for path in found.paths:
            refuse_count(found, path)
        raise DataError(
            f"{SIZES} must add up. The shards of '{folder}' have {len(found)} samples, its total is {total}. "
            f"{_REMEDY}"
        )
    strangers = sorted({path.name for path in folder.glob("*.tar")} - found.counts.keys())
    if strangers and not unlisted:
        raise DataError(
            f"every shard must be in {SIZES}. In '{folder}' it lacks {', '.join(strangers[:3])}. Remove what does "
            "not belong there, or continue writing with 'radapter shards'."
        )
    return found


def refuse_count(found: Shards, shard: Path) -> None:
    """Raises DataError if a shard is damaged, or has another number of samples than in sizes.json."""
    expected, there = found.counts[shard.name], len(samples(list_tar(shard)))
    if there != expected:
        raise DataError(
            f"a shard must hold as many samples as {SIZES} says. '{shard}' holds {there}, {SIZES} says {expected}. "
            f"{_REMEDY}"
        )


def _read(folder: Path) -> tuple[Shards, int]:
    """The content of sizes.json, and the total number of samples in it."""
    file = folder / SIZES
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise DataError(
            f"a folder of shards must have a {SIZES}. '{folder}' has none. Write it with 'radapter shards DATA "
            f"--out {folder}'."
        ) from None
    except DamagedError as error:
        raise DataError(str(error)) from error
    try:
        written = content.pop(_WRITTEN)
        check_schema(written, file, reads=_READS)
        read = _Sizes.model_validate({**written, "counts": content})
        items, of = read.items
        if items > of or not read.sha256.keys() <= read.counts.keys():
            raise ValueError
        sizes = {name: read.bytes[name] for name in read.counts}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"'{file}' must be as 'radapter shards' writes it. {_REMEDY}") from error
    found = Shards(folder, read.counts, sizes, read.about, read.shard_size, items, of, read.sha256)
    return found, read.samples


def write_contents(folder: Path, keys: Tensor) -> None:
    """Writes the distinct keys among `keys`, (N,) int64, sorted."""
    with whole_file(folder / CONTENTS) as file:
        file.write(save({"keys": torch.unique(keys)}, metadata={"format": "pt"}))


def read_contents(folder: Path) -> Tensor:
    """The keys, (K,), int64, sorted; raises DataError if they are missing or the file is another."""
    try:
        return load_weights(folder / CONTENTS)["keys"]
    except (ModelError, KeyError) as error:
        raise DataError(
            f"shards for training must have {CONTENTS}, which shows whether a test image is in them. '{folder}' has "
            "no readable one. Write the folder with 'radapter shards'."
        ) from error
