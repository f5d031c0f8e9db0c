"""Regions cut out of images, each with a noun: what `radapter mine` writes and a mask-adapted CLIP is trained on.

A folder of mined regions is

    regions-000000.tar, regions-000001.tar, ...     webdataset's tar shards; two members a region
        KEY.png      RGBA: the region's tight box, its alpha the mask (255 inside, 0 outside); colours outside the
                     mask are the image's own, so that whoever reads them chooses the fill
        KEY.json     {"image": id of the source image, "size": [its width, height], "box": [left, top, right,
                     bottom] in its pixels, right and bottom exclusive, "area": pixels of the mask, "noun": text,
                     "noun_id": its place in nouns.json, "caption": text or null, "score": cosine of region and
                     noun or null, "margin": how far above the second or null}
    sizes.json       shard -> how many regions it holds; the order of shards is its order
    nouns.json       {"nouns": [text, ...]}; the noun with id 3 is the fourth

KEY is the region's number, nine digits. Mined from captions, `score` is the cosine and `caption` the caption that
named the noun; cut from ground-truth masks they are null and the nouns are the classes.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any, final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.pictures.decoding import MAX_PIXELS, decode_cutout
from radapter.data.splits import Progress, content_keys, fingerprint
from radapter.data.tars import Member, TarPictures, list_tar, samples, text_of
from radapter.errors import DamagedError, DataError
from radapter.storage import read_json

NOUNS = "nouns.json"
SIZES = "sizes.json"
FILL = (122, 116, 104)
"""The mean colour of CLIP's training images, which OVSeg fills the background with."""


@final
class MinedRegions:
    """N regions with a noun each, decoded when asked for, in the order of the shards: an `ImageSet`.

    Args:
        folder: as `radapter mine` wrote it.
        name: what tables and messages call it; the folder's name when None.
        background: RGB in [0, 255], what `image` shows outside the mask.
        max_pixels: larger regions are refused from their header.
        progress: told (done, all) while contents are hashed.

    Attributes:
        nouns: the vocabulary, C texts; a label is a place in it.
        labels: (N,), int64, the noun of each region.
        keys: (N,), int64, content hashes.
        groups: (N,), int64, the image that each was cut from, numbered in the order in which they first occur.
        records: N, what KEY.json holds.

    Raises:
        DataError: a file is missing or damaged, or shards, nouns and records do not fit each other.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        background: tuple[int, int, int] = FILL,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> None:
        self.name = folder.name if name is None else name
        self.nouns = _nouns(folder)
        members = [
            parts for shard, count in _sizes(folder).items() for parts in _whole(folder / shard, count)
        ]
        if not members:
            raise DataError(f"a folder of regions must hold one. '{folder}' holds none. Mine again.")
        self.records = tuple(_record(parts["json"], self.nouns) for parts in members)
        self._background = background
        self._max_pixels = max_pixels
        self._pictures = TarPictures([parts["png"] for parts in members], max_pixels=max_pixels)
        self.labels = torch.tensor([record["noun_id"] for record in self.records])
        place: dict[str, int] = {}
        self.groups: Tensor = torch.tensor(
            [place.setdefault(record["image"], len(place)) for record in self.records]
        )
        self.keys = content_keys(self._pictures, torch.arange(len(members)), progress=progress)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of regions and nouns: equal for equal sets."""
        return fingerprint(self.keys, self.labels, *self.nouns)

    @property
    def counts(self) -> dict[str, int]:
        """Noun -> how many regions have it, the most frequent first; nouns without a region are left out."""
        found = Counter(self.nouns[label] for label in self.labels.tolist())
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def cutout(self, index: int) -> Image.Image:
        """The region at `index`, RGBA, its alpha the mask; raises ImageError."""
        return decode_cutout(
            self._pictures.content(index), where=self.where(index), max_pixels=self._max_pixels
        )

    def image(self, index: int) -> Image.Image:
        """The region at `index`, RGB, with the background colour outside its mask; raises ImageError."""
        region = self.cutout(index)
        canvas = Image.new("RGBA", region.size, (*self._background, 255))
        return Image.alpha_composite(canvas, region).convert("RGB")

    def where(self, index: int) -> str:
        """The shard, two colons, and the name in it."""
        return self._pictures.where(index)


def _nouns(folder: Path) -> tuple[str, ...]:
    content = _read(folder, NOUNS)
    nouns = content.get("nouns")
    if not isinstance(nouns, list) or not all(isinstance(noun, str) for noun in nouns):
        raise DataError(f"{NOUNS} must hold a list of nouns. '{folder / NOUNS}' does not. Mine again.")
    return tuple(nouns)


def _sizes(folder: Path) -> dict[str, int]:
    content = _read(folder, SIZES)
    for shard, count in content.items():
        if Path(shard).name != shard or not isinstance(count, int):
            raise DataError(
                f"{SIZES} must map shards to numbers. '{folder / SIZES}' has {shard!r}: {count!r}."
            )
    return content


def _read(folder: Path, file: str) -> dict[str, Any]:
    try:
        content = read_json(folder / file)
    except (FileNotFoundError, NotADirectoryError, DamagedError) as error:
        raise DataError(
            f"a folder of regions must hold {file}. '{folder}': {error} Finish 'radapter mine', or mine again."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{file} must hold an object. '{folder / file}' does not. Mine again.")
    return content


def _whole(shard: Path, count: int) -> list[dict[str, Member]]:
    found = samples(list_tar(shard))
    torn = [key for key, parts in found.items() if not {"png", "json"} <= parts.keys()]
    if torn or len(found) != count:
        raise DataError(
            f"a shard must hold the regions that {SIZES} counts, each a png and a json. '{shard}' holds "
            f"{len(found)} of {count}, {len(torn)} not whole. Mine again."
        )
    return list(found.values())


def _record(member: Member, nouns: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = json.loads(text_of(member))
        noun_id = content["noun_id"]
        fits = type(noun_id) is int and noun_id >= 0 and nouns[noun_id] == content["noun"]
        fits = fits and isinstance(content["image"], str)
    except (ValueError, RecursionError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"a region's json must be whole. '{member}': {error!r}. Mine again.") from error
    if not fits:
        raise DataError(
            f"a region's noun must stand at its noun_id in {NOUNS}, and its image must be text. '{member}' has "
            f"{noun_id!r}, {content['noun']!r} and {content['image']!r}. Mine again."
        )
    return dict(content)
