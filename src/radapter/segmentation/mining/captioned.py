"""Mines captioned images: for each noun of the captions the region that shows it, if one does clearly."""

import math
from collections.abc import Iterator
from dataclasses import replace

from radapter.data import PairSet
from radapter.data.shards import Sample, Shards
from radapter.data.splits import Progress
from radapter.errors import DataError, ImageError
from radapter.segmentation.mining.captions import NamedNouns
from radapter.segmentation.mining.matching import Floors, Match, middle_floors
from radapter.segmentation.mining.regions import RegionMatcher
from radapter.segmentation.mining.writing import RegionFolder, Shown, region_sample, write_regions

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
        pairs: The data set.
        named: Its nouns.
        matcher: Finds regions.
        images: Number of images with a noun that are matched; unreadable ones are skipped.
        progress: Called with (done, all) after each.
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
    folder: RegionFolder,
    *,
    floors: Floors,
) -> Shards:
    """Writes the regions that show the nouns of captions, one region a noun and image.

    Args:
        pairs: The data set.
        named: Its nouns.
        matcher: Finds regions.
        folder: Where and how.
        floors: What a match must reach.

    Raises:
        DataError: No match reaches the floors (the folder is removed then), or too many images are unreadable.
        RunError: The folder holds something else.
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
            shown = Shown(
                named.nouns[nouns.ids[match.noun]],
                nouns.ids[match.noun],
                nouns.captions[match.noun],
                match.score,
                match.margin,
            )
            yield region_sample(pairs, index, number, image, mask, shown)

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

    about = {**folder.about, "pairs": pairs.fingerprint, "floors": list(floors)}
    return write_regions(pairs, of_image, named.nouns, replace(folder, about=about), nothing=nothing)
