"""`radapter mine`: image regions with a noun each, from captioned or from masked images, as tar shards."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from radapter.commands.encoders import encoder_of
from radapter.commands.evaluate import parsed
from radapter.commands.region_options import find_proposer
from radapter.commands.terminal import next_in_run_yaml, plain_table, say
from radapter.data import MinedRegions, Reading, open_masks, open_pairs
from radapter.data.shards.writing import require_webdataset
from radapter.errors import ConfigError
from radapter.operations.bars import continued_with
from radapter.operations.checks import check_text_tower
from radapter.operations.sets import in_flow
from radapter.progress import counting
from radapter.segmentation import mining
from radapter.segmentation.mining.matching import MIN_AREA, TEMPLATE
from radapter.segmentation.mining.nouns import SCHEME
from radapter.segmentation.mining.writing import TRUE_AREA
from radapter.storage import check_writable, whole_file
from radapter.zeroshot import templates

SHEET, AUTO = "sheet.png", "auto"
_SHOWN = 12  # nouns in the table


@dataclass(frozen=True)
class Images:
    """The images that are read: a source as text of YAML, at most `limit` of it, and how many may be unreadable."""

    data: str
    limit: int | None
    max_bad: float


@dataclass(frozen=True)
class Search:
    """How regions are found and matched to nouns; a floor or margin is a cosine, or "auto" to measure it."""

    model: str = "world:tiny"
    proposer: str = "felzenszwalb"
    floor: str = AUTO
    margin: str = AUTO
    nouns: Sequence[str] = (mining.BUILT_IN,)
    template: str = TEMPLATE


def mine_captions(
    images: Images, search: Search, *, to: Path, min_area: float | None, allow_download: bool
) -> None:
    """Writes, for each noun of a caption, the region of the image that matches it best, if clearly enough.

    Raises:
        InputError: an argument, the data, the nouns, the proposer or the model cannot be used, `to` holds something
            else, or no region is clear enough.
        KeyboardInterrupt: a signal came; whole shards are kept.
    """
    floor, margin = _cosine(search.floor, "--floor"), _cosine(search.margin, "--margin")
    template = templates([search.template])[0]
    with _writing(to, min_area):
        area = MIN_AREA if min_area is None else min_area
        finder, proposer = _finder(search.nouns), find_proposer(search.proposer)
        source = parsed(images.data)
        with counting() as bar:
            reading = Reading(max_bad=images.max_bad, allow_download=allow_download, progress=bar("hashing"))
            pairs = open_pairs(source, reading=reading, join=False)
            if images.limit is not None:
                pairs = pairs.subset(range(len(pairs))[: images.limit])
            named = mining.named_nouns(pairs, finder)
            with encoder_of(search.model, allow_download=allow_download) as (encoder, model):
                check_text_tower(encoder)
                named = mining.readable_nouns(named, encoder, template)
                matcher = mining.RegionMatcher(
                    encoder, proposer, named.nouns, template=template, min_area=area
                )
                if floor is None or margin is None:
                    measured = mining.measured_floors(pairs, named, matcher, progress=bar("floors"))
                    floor = measured.score if floor is None else floor
                    margin = measured.margin if margin is None else margin
                about = {"source": source, "model": model, "proposer": search.proposer}
                about |= {"template": template, "min_area": area}
                folder = mining.RegionFolder(to, about, max_bad=images.max_bad, progress=bar("mining"))
                mining.mine_pairs(pairs, named, matcher, folder, floors=mining.Floors(floor, margin))
    regions = MinedRegions(to)
    say(
        f"\n{len(pairs):,} images, {named.without:,} of them without a noun; {named.total:,} nouns were named."
    )
    say(
        f"{len(regions):,} of these have a region with a cosine of at least {floor:.4f} and a lead of at least "
        f"{margin:.4f}: {len(regions) / named.total:.1%}."
    )
    _report(regions, to)


def mine_masks(images: Images, *, to: Path, min_area: float | None) -> None:
    """Writes the region of every class of a masked image. Raises as `mine_captions`."""
    with _writing(to, min_area):
        source = parsed(images.data)
        if not isinstance(source, Mapping):
            raise ConfigError(
                "masked images must be a YAML mapping, such as '{masks: FOLDER, images: FOLDER, classes: FILE}'. "
                f"Got '{source}'. See docs/data.md."
            )
        with counting() as bar:
            reading = Reading(max_bad=images.max_bad, progress=bar("hashing"))
            masks = open_masks(source, reading=reading)
            if images.limit is not None:
                masks = masks.subset(range(len(masks))[: images.limit])
            about = {"source": dict(source)}
            folder = mining.RegionFolder(to, about, max_bad=images.max_bad, progress=bar("cutting"))
            mining.cut_masks(masks, folder, min_area=TRUE_AREA if min_area is None else min_area)
    regions = MinedRegions(to)
    say(f"\n{len(masks):,} images, {len(masks.classnames):,} classes.")
    _report(regions, to)


def _writing(to: Path, min_area: float | None) -> AbstractContextManager[None]:
    require_webdataset()
    check_writable(to)
    if min_area is not None and not 0 <= min_area < 1:
        raise ConfigError(f"--min-area must be in [0, 1), a fraction of the image. Got {min_area}.")
    return continued_with("the same command", to)


def _cosine(text: str, option: str) -> float | None:
    """A cosine or a difference of two; None for auto."""
    if text == AUTO:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not -2 <= number <= 2:
        raise ConfigError(f"{option} must be '{AUTO}' or a number in [-2, 2]. Got '{text}'.")
    return number


def _finder(lists: Sequence[str]) -> mining.NounFinder:
    pipelines = [each for each in lists if each.startswith(SCHEME)]
    if not pipelines:
        return mining.VocabularyNouns(mining.vocabulary(lists))
    if len(lists) > 1:
        raise ConfigError(
            f"spaCy finds nouns of any vocabulary. Got {pipelines[0]} with other lists. Give it alone."
        )
    return mining.SpacyNouns.from_name(pipelines[0].removeprefix(SCHEME))


def _report(regions: MinedRegions, to: Path) -> None:
    """Prints the nouns and what to do next, and draws the contact sheet."""
    table = plain_table("Noun", "Regions", left=("Noun",))
    counts = list(regions.counts.items())
    for noun, count in counts[:_SHOWN]:
        table.add_row(noun, f"{count:,}")
    if rest := [count for _, count in counts[_SHOWN:]]:
        table.add_row(f"{len(rest):,} more", f"{sum(rest):,}", style="dim")
    table.add_row("all", f"{len(regions):,}", style="bold")
    Console().print(table)
    with whole_file(to / SHEET) as file:
        mining.contact_sheet(regions).save(file, format="png")
    say(f"Look at them: {to / SHEET}")
    next_in_run_yaml(f"task: segmentation\ndata:\n  train: {in_flow({'mined': str(to)})}")
