"""Regions cut out of images, each with a noun: written by `radapter mine`, to train a mask-adapted CLIP.

A folder of mined regions holds

    00000.tar, 00001.tar, ...     webdataset's tar shards; two members for each region
        KEY.png      RGBA: the tight box of the region; alpha is the mask (255 inside, 0 outside). Colours outside
                     the mask are those of the image, so that the reader chooses the fill
        KEY.json     {"image": name of the image in its source, "key": its content hash, "size": [its width, height],
                     "box": [left, top, right, bottom] in its pixels, right and bottom exclusive, "area": pixels of
                     the mask, "noun": text, "noun_id": its index in nouns.json, "caption": text or null, "score":
                     cosine of region and noun or null, "margin": its lead over the second noun or null}
    sizes.json       number of regions in each shard, see shards/sizes.py
    nouns.json       {"nouns": [text, ...]}; the noun with id 3 is the fourth

KEY is the number of the image in its source and that of the region in the image: 000000012-003. For regions mined
from captions, `caption` is the one that contains the noun. For regions from ground-truth masks, `score` and
`caption` are null and the nouns are the classes.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from radapter.data.images.decoding import MAX_PIXELS, decode_cutout
from radapter.data.masks.kinds import MaskDataSource
from radapter.data.pairs.kinds import PairDataSource
from radapter.data.paths import PATH, PATHS_OR_NAMES, place
from radapter.data.shards.sizes import read_shards
from radapter.data.source import Reading, Source, source_type
from radapter.data.splits import fingerprint
from radapter.data.tars import Member, TarImages, list_tar, samples, text_of
from radapter.errors import DamagedError, DataError
from radapter.given_files import parse_json
from radapter.storage import read_json

NOUNS = "nouns.json"
FILL = (122, 116, 104)
"""The mean colour of CLIP's training images, which OVSeg fills the background with."""


@final
class MinedRegions:
    """N regions with a noun each, in the order of the shards, decoded on request: an `ImageSet`.

    Args:
        folder: As written by `radapter mine`.
        name: The set's name in tables and messages; None takes that of the folder.
        background: RGB in [0, 255], the colour that `image` shows outside the mask.
        max_pixels: Larger regions are refused from their header.

    Attributes:
        nouns: The vocabulary, C texts.
        labels: The noun of each region as an index into `nouns`, (N,), int64.
        keys, groups: Content hash and number, by first occurrence, of the image of each region, (N,), int64.
        records: The content of each KEY.json.

    Raises:
        DataError: A file is missing or damaged, or shards, nouns and records do not match.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        background: tuple[int, int, int] = FILL,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.name = folder.name if name is None else name
        self.nouns = _nouns(folder)
        shards = read_shards(folder)
        if not shards.is_complete:
            raise DataError(
                f"a folder of regions must be finished. '{folder}' has those of {shards.items} of {shards.of} "
                "images. Run the same 'radapter mine' again to continue."
            )
        members = [parts for shard in shards.paths for parts in samples(list_tar(shard)).values()]
        torn = [parts for parts in members if not {"png", "json"} <= parts.keys()]
        if torn or not members:
            raise DataError(
                f"a folder must hold regions, each a png and a json. '{folder}' holds {len(members)}, {len(torn)} "
                "of them incomplete. Mine again."
            )
        self.records = tuple(_record(parts["json"], self.nouns) for parts in members)
        self._background, self._max_pixels = background, max_pixels
        self._images = TarImages([parts["png"] for parts in members], max_pixels=max_pixels)
        self.labels = torch.tensor([record["noun_id"] for record in self.records])
        seen: dict[str, int] = {}
        numbers = [seen.setdefault(record["image"], len(seen)) for record in self.records]
        self.groups: Tensor = torch.tensor(numbers)
        self.keys = torch.tensor([record["key"] for record in self.records])

    def __len__(self) -> int:
        return len(self.records)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of regions and nouns: equal for equal sets."""
        return fingerprint(self.keys, self.labels, *self.nouns)

    @property
    def counts(self) -> dict[str, int]:
        """Noun -> its number of regions, the most frequent first; nouns without a region are left out."""
        found = Counter(self.nouns[label] for label in self.labels.tolist())
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def cutout(self, index: int) -> Image.Image:
        """The region at `index`, RGBA, with the mask as alpha; raises ImageError."""
        content = self._images.content(index)
        return decode_cutout(content, where=self.where(index), max_pixels=self._max_pixels)

    def image(self, index: int) -> Image.Image:
        """The region at `index`, RGB, with the background colour outside its mask; raises ImageError."""
        region = self.cutout(index)
        canvas = Image.new("RGBA", region.size, (*self._background, 255))
        return Image.alpha_composite(canvas, region).convert("RGB")

    def where(self, index: int) -> str:
        """The shard, two colons, and the name in the shard."""
        return self._images.where(index)


def _nouns(folder: Path) -> tuple[str, ...]:
    try:
        content = read_json(folder / NOUNS)
    except (FileNotFoundError, NotADirectoryError, DamagedError) as error:
        raise DataError(
            f"a folder of regions must hold {NOUNS}. '{folder}': {error} Finish 'radapter mine', or mine again."
        ) from error
    nouns = content.get("nouns") if isinstance(content, dict) else None
    if not isinstance(nouns, list) or not all(isinstance(noun, str) for noun in nouns):
        raise DataError(f"{NOUNS} must hold a list of nouns. '{folder / NOUNS}' does not. Mine again.")
    return tuple(nouns)


def _record(member: Member, nouns: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = parse_json(text_of(member))
        noun_id = content["noun_id"]
        fits = type(noun_id) is int and noun_id >= 0 and nouns[noun_id] == content["noun"]
        fits = fits and isinstance(content["image"], str) and type(content["key"]) is int
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"a region's json must be whole. '{member}': {error!r}. Mine again.") from error
    if not fits:
        raise DataError(
            f"a region's noun must be at its noun_id in {NOUNS}, its image must be text and its key a number. "
            f"'{member}' has {noun_id!r}, {content['noun']!r}, {content['image']!r}, {content['key']!r}. Mine again."
        )
    return dict(content)


class RegionSource(Source):
    """A kind of source of regions; a new one is a class here and a line in `REGIONS`.

    `radapter.segmentation` cuts out the regions of `MineSource` and `FromMasksSource`.
    """


class MinedSource(RegionSource):
    """What `radapter mine` wrote."""

    mined: Annotated[str, PATH] = Field(description="the folder of shards")

    def read(self, reading: Reading) -> MinedRegions:
        """Opens the folder; raises DataError if it is missing, damaged or not finished."""
        return MinedRegions(place(self.mined), name="train", max_pixels=reading.max_pixels)


class MineSource(RegionSource):
    """Captioned images, mined before training with the base model of the run."""

    mine: PairDataSource = Field(description="the source, as for retrieval")
    to: Annotated[str, PATH] = Field(
        description="folder of the shards, new or of the same mining, which is then continued or read"
    )
    nouns: Annotated[list[str], PATHS_OR_NAMES] = Field(
        default=["built-in"], min_length=1, description="lists of nouns to look for: built-in, or text files"
    )
    floor: Literal["auto"] | float = Field(
        default="auto",
        description="cosine of region and noun that a region must reach; auto is what the better half reaches",
    )
    margin: Literal["auto"] | float = Field(
        default="auto",
        description="how far the region must lead over the second; auto is what the better half reaches",
    )
    min_area: float = Field(
        default=0.05, ge=0, lt=1, description="share of the image that a region must have"
    )


class FromMasksSource(RegionSource):
    """The true regions of masked images, one for each class that an image shows."""

    from_masks: MaskDataSource = Field(description="the masked images, as for data.id_test")
    min_pixels: int = Field(default=16, ge=1, description="smaller regions are left out")


REGIONS: list[type[RegionSource]] = [MinedSource, MineSource, FromMasksSource]
if TYPE_CHECKING:
    RegionDataSource = RegionSource
else:
    RegionDataSource = source_type(REGIONS, words="a source of regions", may_be_path=False)
