"""Damage to files that radapter wrote, and whether `radapter verify` notices it."""

import io
import json
import random
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import training
from PIL import Image

from radapter.commands.verify import verify
from radapter.errors import RAdapterError


def everything_written(folder: Path) -> list[Path]:
    """One of each thing that radapter writes and records."""
    training.finished(folder, training.written(folder, {"train": {"keep": "best"}}))
    photos = folder / "photos"
    photos.mkdir()
    for number in range(8):
        Image.new("RGB", (32, 32), (30 * number, 90, 40)).save(photos / f"{number}.png")
    merged, shards, index, mined = (
        str(folder / name) for name in ("merged", "shards", "index.safetensors", "mined")
    )
    training.run_command(folder, "merge", str(folder / "run"), "--out", merged)
    training.run_command(folder, "shards", "{world: train, size: 40}", "--out", shards)
    training.run_command(folder, "search", "world:tiny", "--data", str(photos), "a star", "--index", index)
    training.run_command(folder, "mine", "{world: scenes, size: 20}", "--out", mined)
    return [folder / "run", Path(merged), Path(shards), Path(index), Path(mined)]


def recorded_files(place: Path) -> list[Path]:
    """The files whose SHA-256 is recorded."""
    return [Path(row["file"]) for row in _verified(place)["files"] if row["state"] == "whole"]


def is_noticed(place: Path) -> bool:
    """Whether a check finds something damaged or missing."""
    try:
        return not _verified(place)["whole"]
    except RAdapterError:
        return True


def _verified(place: Path) -> dict[str, Any]:
    with redirect_stdout(io.StringIO()) as printed:
        verify(place, as_json=True)
    return dict(json.loads(printed.getvalue()))


def _flip_a_bit(file: Path, content: bytes, chance: random.Random) -> None:
    damaged = bytearray(content)
    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    file.write_bytes(damaged)


def _cut(file: Path, content: bytes, chance: random.Random) -> None:
    file.write_bytes(content[: chance.randrange(len(content))])


def _overwrite_a_block(file: Path, content: bytes, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    block = bytes(255 - value for value in content[start : start + 512])
    file.write_bytes(content[:start] + block + content[start + 512 :])


def _remove(file: Path, content: bytes, chance: random.Random) -> None:
    file.unlink()


HARMS = (_flip_a_bit, _cut, _overwrite_a_block, _remove)
