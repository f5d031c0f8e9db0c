"""Regions of captioned images: for each noun of the captions the region that shows it, if one does clearly."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radapter.data import MAX_BAD, PairSet
from radapter.data.shards import Sample, Shards
from radapter.data.splits import Progress
from radapter.errors import DataError, ImageError
from radapter.segmentation.mining.captions import NamedNouns
from radapter.segmentation.mining.matching import Floors, Match, middle_floors
from radapter.segmentation.mining.regions import RegionMatcher
from radapter.segmentation.mining.writing import SHARD_SIZE, region_sample, write_regions

LOOKED_AT = 256
"""Images whose matches say what is much and what is little for a model."""


def measured_floors(
    pairs: PairSet,
    named: NamedNouns,
    matcher: RegionMatcher,
    *,
    images: int = LOOKED_AT,
    progress: Progress | None = None,
) -> Floors:
    """Floors that the better half of the first images' matches reaches, see `middle_floors`.

    Args:
        pairs: the data set.
        named: its nouns.
        matcher: finds regions.
        images: how many with a noun are looked at; unreadable ones are passed over.
        progress: told (done, all) after each.
    """
    rows = [row for row, nouns in enumerate(named.of_images) if nouns.ids][:images]
    matches: list[Match] = []
    for done, row in enumerate(rows, start=1):
        try:
            matches += [found.match for found in matcher(pairs.image(row), named.of_images[row])]
        except ImageError:
            continue  # reported when it is mined
        finally:
            if progress is not None:
                progress(done, len(rows))
    return middle_floors(matches)


def mine_pairs(
    pairs: PairSet,
    named: NamedNouns,
    matcher: RegionMatcher,
    folder: Path,
    *,
    floors: Floors,
    about: Mapping[str, Any],
    shard_size: int = SHARD_SIZE,
    max_bad: float = MAX_BAD,
    progress: Progress | None = None,
) -> Shards:
    """Writes the regions that show the nouns of captions, one region a noun and image.

    Args:
        pairs: the data set.
        named: its nouns.
        matcher: finds regions.
        folder: new, or one that the same call began.
        floors: what a match must reach.
        about: what else decides the regions, as JSON.
        shard_size: bytes after which a shard ends.
        max_bad: fraction of the images that may be unreadable; they are reported and left out.
        progress: told (images done, all).

    Raises:
        DataError: no match reaches the floors (the folder is as new then), or too many images are unreadable.
        RunError: the folder holds something else.
    """
    best: list[Match] = []

    def of_image(index: int) -> Iterator[Sample]:
        nouns = named.of_images[index]
        if not nouns.ids:
            return
        image = pairs.image(index)
        found = matcher(image, nouns)
        best.extend(each.match for each in found)
        for number, (mask, match) in enumerate(each for each in found if floors.admit(each.match)):
            yield region_sample(
                pairs,
                index,
                number,
                image,
                mask,
                noun=named.nouns[nouns.ids[match.noun]],
                noun_id=nouns.ids[match.noun],
                caption=nouns.captions[match.noun],
                score=match.score,
                margin=match.margin,
            )

    def nothing() -> DataError:
        score, margin = (
            max(values, default=math.nan)
            for values in ([match.score for match in best], [match.margin for match in best])
        )
        return DataError(
            f"mining must keep a region. Of {len(best)} matches of '{pairs.name}' none reaches both floors, "
            f"{floors.score} and {floors.margin}: scores go up to {score:.4f}, margins to {margin:.4f}. Lower "
            "--floor, --margin or --min-area."
        )

    return write_regions(
        pairs,
        of_image,
        named.nouns,
        folder,
        nothing=nothing,
        about={**about, "pairs": pairs.fingerprint, "floors": list(floors)},
        shard_size=shard_size,
        max_bad=max_bad,
        progress=progress,
    )
