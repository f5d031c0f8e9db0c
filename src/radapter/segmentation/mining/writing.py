"""Writes the regions of a data set into tar shards: those that show the nouns of captions clearly, or the classes of
masks. radapter/data/regions.py describes the format.

The regions of an image do not depend on other images, so a call that was interrupted and continued writes the same
bytes as one that was not.
"""

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL.Image import Image
from torch import Tensor

from radapter.data import IGNORE, MAX_BAD, BadImages, PairedMaskDataset, PairSet
from radapter.data.regions import NOUNS
from radapter.data.shards import SIZES, Sample, Shards, write_shards
from radapter.data.splits import Progress, fingerprint
from radapter.errors import DataError, ImageError
from radapter.manifests import record
from radapter.segmentation.crops import tight_boxes
from radapter.segmentation.mining.captions import NamedNouns
from radapter.segmentation.mining.matching import Floors, Match, RegionMatcher, middle_floors
from radapter.segmentation.pixels import label_regions
from radapter.segmentation.training_regions import cut_out
from radapter.storage import write_json

SHARD_SIZE = 32 * 10**6
"""Bytes of a shard: an interruption loses at most the work for one."""
TRUE_AREA = 0.001
"""Share of the image that a region of a mask must have: below are a few pixels of an outline."""
MEASURED_IMAGES = 256
"""Images whose matches decide the floors of a model."""


class RegionFolder(NamedTuple):
    """A folder to write regions into, and how."""

    path: Path  # new, or one that the same call began
    about: Mapping[str, Any]  # JSON that decides the regions besides the images
    shard_size: int = SHARD_SIZE  # bytes after which a shard ends
    max_bad: float = MAX_BAD  # fraction of the images that may be unreadable; they are reported and skipped
    progress: Progress | None = None  # called with (images done, all)


def measured_floors(
    pairs: PairSet,
    named: NamedNouns,
    matcher: RegionMatcher,
    *,
    images: int = MEASURED_IMAGES,
    progress: Progress | None = None,
) -> Floors:
    """Floors that the better half of the matches in the first `images` images with a noun reaches, see
    `middle_floors`; unreadable images are skipped. `progress` is called with (done, all) after each."""
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
    """Writes the regions that show the nouns of captions and reach the floors, one region per noun and image.

    Raises DataError if no match reaches the floors (the folder is removed then) or too many images are unreadable,
    and RunError if the folder holds something else.
    """
    best: list[Match] = []

    def of_image(index: int) -> Iterator[_Region]:
        nouns = named.of_images[index]
        if not nouns.ids:
            return
        image = pairs.image(index)
        found = matcher(image, nouns)
        best.extend(each.match for each in found)
        for mask, match in found:
            if floors.admit(match):
                noun, caption = nouns.ids[match.noun], nouns.captions[match.noun]
                yield _Region(image, mask, named.nouns[noun], noun, caption, match.score, match.margin)

    def nothing() -> str:
        score = max((match.score for match in best), default=math.nan)
        margin = max((match.margin for match in best), default=math.nan)
        return (
            f"mining must keep a region. None of {len(best)} matches of '{pairs.name}' reaches both floors, "
            f"{floors.score} and {floors.margin}: scores go up to {score:.4f}, margins to {margin:.4f}. Lower "
            "--floor, --margin or --min-area."
        )

    about = {"pairs": pairs.fingerprint, "floors": list(floors)}
    return _write(pairs, of_image, named.nouns, folder, about, nothing=nothing)


def cut_masks(dataset: PairedMaskDataset, folder: RegionFolder, *, min_area: float = TRUE_AREA) -> Shards:
    """Writes the true regions of masked images, one per class and image; the classes are the nouns. Regions below
    `min_area`, a share of the image, are skipped. Raises as `mine_pairs`."""

    def of_image(index: int) -> Iterator[_Region]:
        image, labels, _ = dataset[index]
        masks, classes = label_regions(labels, ignored=(IGNORE,))
        for mask, noun in zip(masks, classes.tolist(), strict=True):
            if mask.float().mean() >= min_area:
                yield _Region(image, mask, dataset.classnames[noun], noun)

    nothing = (
        f"masks must hold a region of at least {min_area:.2%} of the image. Those of '{dataset.name}' hold none. "
        "Lower --min-area."
    )
    about = {"min_area": min_area}
    return _write(dataset, of_image, dataset.classnames, folder, about, nothing=lambda: nothing)


class _Region(NamedTuple):
    image: Image
    mask: Tensor  # (H, W), bool, not empty
    noun: str
    noun_id: int  # place in the vocabulary
    caption: str | None = None
    score: float | None = None  # cosine of region and noun
    margin: float | None = None  # lead over the second; infinite if there is none


def _write(
    source: PairSet | PairedMaskDataset,
    of_image: Callable[[int], Iterable[_Region]],
    nouns: Sequence[str],
    folder: RegionFolder,
    about: Mapping[str, Any],
    *,
    nothing: Callable[[], str],
) -> Shards:
    """Writes shards and nouns.json. If no image gives a region, it raises DataError with the message `nothing`, and
    the folder is removed."""
    bad = BadImages(source.name, len(source), max_bad=folder.max_bad)
    given, finished = 0, False

    def items(start: int) -> Iterator[Sequence[Sample]]:
        nonlocal given, finished
        given = start  # shards that are there hold regions
        for index in range(start, len(source)):
            samples: list[Sample] = []
            try:
                samples += (_sample(source, index, *each) for each in enumerate(of_image(index)))
            except ImageError as error:
                bad.add(index, error)
            given += len(samples)
            yield samples
        finished = True

    about = {**folder.about, **about, "fingerprint": fingerprint(source.keys, *nouns)}
    write = partial(write_shards, shard_size=folder.shard_size, progress=folder.progress)
    try:
        written = write(folder.path, items, len(source), about=about)
    except DataError as error:
        if given or not finished:
            raise
        raise DataError(nothing()) from error
    write_json(folder.path / NOUNS, {"nouns": list(nouns)})
    record(folder.path, SIZES, NOUNS)
    return written


def _sample(source: PairSet | PairedMaskDataset, index: int, number: int, region: _Region) -> Sample:
    stream = io.BytesIO()
    cut_out(region.image, region.mask).save(stream, format="png")
    content = {
        "image": source.where(index).encode(errors="backslashreplace").decode(),  # a path need not be UTF-8
        "key": int(source.keys[index]),
        "size": list(region.image.size),
        "box": tight_boxes(region.mask[None])[0].tolist(),
        "area": int(region.mask.sum()),
        "noun": region.noun,
        "noun_id": region.noun_id,
        "caption": region.caption,
        "score": _rounded(region.score),
        "margin": _rounded(region.margin),
    }
    parts = {"png": stream.getvalue(), "json": json.dumps(content, ensure_ascii=False).encode()}
    return Sample(f"{index:09d}-{number:03d}", parts)


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else round(value, 6)
