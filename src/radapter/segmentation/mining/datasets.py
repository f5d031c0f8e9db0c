"""Regions of a data set: those that show the nouns of captions clearly, or those of the classes of masks."""

import math
from collections.abc import Iterator
from dataclasses import replace

from radapter.data import IGNORE, PairedMaskDataset, PairSet
from radapter.data.shards import Sample, Shards
from radapter.data.splits import Progress
from radapter.errors import DataError, ImageError
from radapter.segmentation.mining.captions import NamedNouns
from radapter.segmentation.mining.matching import Floors, Match, middle_floors
from radapter.segmentation.mining.regions import RegionMatcher
from radapter.segmentation.mining.writing import RegionFolder, Shown, region_sample, write_regions
from radapter.segmentation.pixels import label_regions

TRUE_AREA = 0.001
"""Share of the image that a region must have: below are a few pixels of an outline."""
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
    pairs: PairSet, named: NamedNouns, matcher: RegionMatcher, folder: RegionFolder, *, floors: Floors
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


def cut_masks(dataset: PairedMaskDataset, folder: RegionFolder, *, min_area: float = TRUE_AREA) -> Shards:
    """Writes the true regions of masked images, one a class and image; the classes are the nouns.

    Args:
        dataset: Pictures with a class for every pixel.
        folder: Where and how.
        min_area: Smaller regions are left out, share of the image.

    Raises:
        DataError: No region is large enough (the folder is removed then), or too many images are unreadable.
        RunError: The folder holds something else.
    """

    def of_image(index: int) -> Iterator[Sample]:
        image, labels, _ = dataset[index]
        masks, classes = label_regions(labels, ignored=(IGNORE,))
        large = [row for row, mask in enumerate(masks) if mask.float().mean() >= min_area]
        for number, row in enumerate(large):
            noun_id = int(classes[row])
            shown = Shown(dataset.classnames[noun_id], noun_id)
            yield region_sample(dataset, index, number, image, masks[row], shown)

    return write_regions(
        dataset,
        of_image,
        dataset.classnames,
        replace(folder, about={**folder.about, "min_area": min_area}),
        nothing=lambda: DataError(
            f"masks must hold a region of at least {min_area:.2%} of the image. Those of '{dataset.name}' hold "
            "none. Lower --min-area."
        ),
    )
