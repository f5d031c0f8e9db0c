"""Image-text pairs in tar shards of CLIP_benchmark and webdataset.

    CLIP_benchmark   FOLDER/test/nshards.txt, 0.tar, 1.tar, ...; key.jpg or .webp, and key.txt, a caption per line
    webdataset       any tars; key.jpg, and key.txt with one caption or key.json with captions and a group

Source: github.com/LAION-AI/CLIP_benchmark (webdataset_builder.py), github.com/webdataset/webdataset.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from radapter.data.images.decoding import SUFFIXES
from radapter.data.pairs.source import CaptionedImages, PairSource, group_id, texts_of
from radapter.data.paths import PATH, Files, expanded_files, matching, place
from radapter.data.shards.parts import content_key
from radapter.data.source import Reading
from radapter.data.tars import Member, TarImages, image_in, list_tar, samples, text_of
from radapter.data.wording import read_or_refuse, refuse_unknown, some
from radapter.errors import ConfigError, DataError
from radapter.given_files import parse_json, read_text

_IMAGES = sorted(suffix.lstrip(".") for suffix in SUFFIXES)

Texts = tuple[tuple[str, ...], Hashable | None, int | None]  # captions, group, stored content key


class ClipBenchmarkSource(PairSource):
    """Tar shards of CLIP_benchmark: `FOLDER/test/0.tar`, `1.tar`, ... and `nshards.txt`; every image is a group."""

    clip_benchmark: Annotated[str, PATH] = Field(description="the folder with a folder of shards per split")
    split: str = Field(default="test", description="which of its splits")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a subfolder has a count of shards."""
        return next(path.glob("*/nshards.txt"), None) is not None

    def read(self, reading: Reading) -> CaptionedImages:
        """The samples of the split; raises ConfigError without it, DataError if shards are missing or damaged."""
        folder = place(self.clip_benchmark)
        splits = sorted(found.parent.name for found in folder.glob("*/nshards.txt"))
        if not splits:
            raise DataError(f"the source must have folders with nshards.txt. '{folder}' has none.")
        refuse_unknown("split", self.split, splits, f"'{folder}'")
        inside = folder / self.split
        shards = [inside / f"{number}.tar" for number in range(_shard_count(inside / "nshards.txt"))]
        present = {path.name for path in inside.glob("*.tar")}
        if present != {shard.name for shard in shards}:
            odd = sorted(present ^ {shard.name for shard in shards})
            raise DataError(
                f"shards must be those that nshards.txt counts, 0.tar to {len(shards) - 1}.tar. In '{inside}' "
                f"there are {len(present)}; only one side has {some(odd)}. Complete the folder or fix the number."
            )
        return _source(folder.name, shards, self._texts, reading=reading)

    def _texts(self, parts: Mapping[str, Member], key: str) -> Texts:
        return tuple(text_of(parts["txt"]).strip().splitlines()) if "txt" in parts else (), None, None


class WebdatasetSource(PairSource):
    """Tars with `key.jpg` (or another image) and `key.txt`, one caption, or `key.json` with captions and a group id.

    If a sample has both, `key.json` is read. The tars must be uncompressed; nothing is extracted.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".tar",)

    webdataset: Files = Field(description="the tar or tars; a name may contain `*`")
    captions: str | None = Field(
        default=None, description="key of the captions in key.json; null is captions or caption"
    )
    group: str | None = Field(
        default=None, description="key of the group id in key.json; null is group if it exists"
    )

    def read(self, reading: Reading) -> CaptionedImages:
        """The samples of the tars; raises ConfigError if key.json lacks a key, and DataError if tars are damaged."""
        shards = [Path(file) for file in matching(expanded_files(self.webdataset), "tar")]
        return _source(shards[0].stem, shards, self._texts, reading=reading)

    def _texts(self, parts: Mapping[str, Member], key: str) -> Texts:
        if "json" in parts:
            return _described(parts["json"], captions=self.captions, group=self.group)
        if self.group is not None:
            raise ConfigError(f"group needs a key.json in every sample. '{key}' has none. Leave group out.")
        return ((" ".join(text_of(parts["txt"]).split()),) if "txt" in parts else ()), None, None


def _source(
    name: str,
    shards: Sequence[Path],
    texts: Callable[[Mapping[str, Member], str], Texts],
    *,
    reading: Reading,
) -> CaptionedImages:
    images, captions, groups, keys = [], [], [], []
    for shard in shards:
        for key, parts in samples(list_tar(shard)).items():
            image = image_in(parts, _IMAGES)
            of, group, content = texts(parts, f"{shard}::{key}")
            images.append(image or Member(str(shard), key, offset=0, size=0))  # counted as unreadable
            captions.append(of)
            groups.append(group)
            keys.append(content)
    if not images:
        raise DataError(f"shards must hold a sample. The {len(shards)} of '{name}' hold none.")
    unnamed = [str(image) for image, group in zip(images, groups, strict=True) if group is None]
    if 0 < len(unnamed) < len(images):
        raise DataError(
            f"either every sample has a group or none has. {len(unnamed)} of {len(images)} in '{name}' have none: "
            f"{some(unnamed)}. Give them one."
        )
    return CaptionedImages(
        name,
        TarImages(images, max_pixels=reading.max_pixels),
        captions,
        None if unnamed else groups,
        None if None in keys else torch.tensor(keys, dtype=torch.int64),
    )


def _described(member: Member, *, captions: str | None, group: str | None) -> Texts:
    try:
        content = parse_json(text_of(member))
    except ValueError as error:
        raise DataError(f"JSON in a tar must be whole. '{member}': {error}. Write it again.") from error
    if not isinstance(content, dict):
        raise DataError(
            f"JSON in a tar must be an object with captions. '{member}' holds {str(content)[:60]}."
        )
    captions = captions or ("captions" if "captions" in content else "caption")
    group = group or ("group" if "group" in content else None)
    for key in [captions] if group is None else [captions, group]:
        refuse_unknown("key", key, content, f"'{member}'")
    return (
        texts_of(content[captions], f"'{member}'"),
        None if group is None else group_id(content[group], f"'{member}'"),
        content_key(content),
    )


def _shard_count(path: Path) -> int:
    text = read_or_refuse(read_text, path, "nshards.txt must hold a number").strip()
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise DataError(f"nshards.txt must hold a number in [1, 1000000]. '{path}' holds {text[:20]!r}.")
    return int(text)
