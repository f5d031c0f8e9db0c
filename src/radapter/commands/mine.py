"""`radapter mine`: regions with a noun each, out of captioned or of masked images, as tar shards."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from radapter.commands.checks import check_text_tower
from radapter.commands.encoders import encoder_of
from radapter.commands.evaluate import parsed
from radapter.commands.terminal import say
from radapter.data import MAX_BAD, MinedRegions, PairedMaskDataset, PairSet, Reading, open_masks, open_pairs
from radapter.data.shards.writing import require_webdataset
from radapter.errors import ConfigError, did_you_mean
from radapter.progress import counting
from radapter.segmentation import FelzenszwalbProposer, MaskProposer, TransformersProposer
from radapter.segmentation.mining import (
    BUILT_IN,
    Floors,
    NounFinder,
    RegionFolder,
    RegionMatcher,
    SpacyNouns,
    VocabularyNouns,
    contact_sheet,
    cut_masks,
    measured_floors,
    mine_pairs,
    named_nouns,
    readable_nouns,
    vocabulary,
)
from radapter.segmentation.mining.datasets import TRUE_AREA
from radapter.segmentation.mining.nouns import SCHEME
from radapter.segmentation.mining.regions import MIN_AREA, TEMPLATE
from radapter.storage import check_writable, whole_file
from radapter.zeroshot import templates

SHEET = "sheet.png"
AUTO = "auto"

_SHOWN = 12  # nouns in the table
_Set = TypeVar("_Set", PairSet, PairedMaskDataset)


def mine(
    data: str,
    *,
    to: Path,
    from_masks: bool = False,
    model: str | None = None,
    proposer: str | None = None,
    floor: str | None = None,
    margin: str | None = None,
    nouns: Sequence[str] | None = None,
    template: str | None = None,
    min_area: float | None = None,
    limit: int | None = None,
    max_bad: float = MAX_BAD,
    allow_download: bool = False,
) -> MinedRegions:
    """Writes regions with a noun each, prints what came out and draws a contact sheet.

    From captioned images it takes, for each noun of a caption, the region that is nearest to it, if that is clear
    enough; from masked ones every class of an image.

    Args:
        data: image-text pairs as in run.yaml, a path or a YAML mapping; masked images a mapping.
        to: the folder; new, or one that the same command began.
        from_masks: whether the data are masked images; the next six arguments are then none's.
        model: a run folder, used at its chosen alpha, or a model's name; world:tiny if None.
        proposer: "felzenszwalb" (if None) or "transformers:FOLDER".
        floor: cosine that a region must reach, or "auto" (if None), see `measured_floors`.
        margin: lead over the second that it must have, or "auto" (if None).
        nouns: "built-in" (if None) and files, joined; or "spacy:PIPELINE" alone.
        template: has one "{}"; "a photo of a {}." if None.
        min_area: share of the image that a region must have.
        limit: only the first images are read.
        max_bad: share of images that may be unreadable; they are left out.
        allow_download: whether the hub may be asked.

    Raises:
        InputError: an argument, the data, the nouns, the proposer or the model cannot be used, `to` holds something
            else, or no region is clear enough.
        KeyboardInterrupt: a signal came; the message has what continues.
    """
    require_webdataset()
    check_writable(to)
    if min_area is not None and not 0 <= min_area < 1:
        raise ConfigError(f"--min-area must be in [0, 1), a share of the image. Got {min_area}.")
    told = {
        "--model": model,
        "--proposer": proposer,
        "--floor": floor,
        "--margin": margin,
        "--nouns": nouns,
        "--template": template,
    }
    ignored = [option for option, value in told.items() if value is not None]
    if from_masks and ignored:
        raise ConfigError(
            f"--from-masks takes classes and regions from the masks. Got {', '.join(ignored)} with it. Leave one "
            "out."
        )
    try:
        if from_masks:
            _cut(
                parsed(data),
                to,
                min_area=TRUE_AREA if min_area is None else min_area,
                limit=limit,
                max_bad=max_bad,
            )
        else:
            _mine(
                parsed(data),
                to,
                model=model or "world:tiny",
                proposer=proposer or "felzenszwalb",
                asked=(_number(floor or AUTO, "--floor"), _number(margin or AUTO, "--margin")),
                nouns=nouns or (BUILT_IN,),
                template=templates([template or TEMPLATE])[0],
                min_area=MIN_AREA if min_area is None else min_area,
                limit=limit,
                max_bad=max_bad,
                allow_download=allow_download,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"whole shards stay in '{to}'. Continue with the same command") from None
    regions = MinedRegions(to)
    _end(regions, to)
    return regions


def _mine(
    source: Any,
    to: Path,
    *,
    model: str,
    proposer: str,
    asked: tuple[float | None, float | None],
    nouns: Sequence[str],
    template: str,
    min_area: float,
    limit: int | None,
    max_bad: float,
    allow_download: bool,
) -> None:
    finder, found_by = _finder(nouns), _proposer(proposer)
    with counting() as bar:
        pairs = open_pairs(
            source,
            reading=Reading(max_bad=max_bad, allow_download=allow_download, progress=bar("hashing")),
            join=False,
        )
        pairs = _first(pairs, limit)
        named = named_nouns(pairs, finder)
        with encoder_of(model, allow_download=allow_download) as (encoder, identity):
            check_text_tower(encoder)
            named = readable_nouns(named, encoder, template)
            matcher = RegionMatcher(encoder, found_by, named.nouns, template=template, min_area=min_area)
            floors = _floors(asked, lambda: measured_floors(pairs, named, matcher, progress=bar("floors")))
            about = {
                "source": source,
                "model": identity,
                "proposer": proposer,
                "template": template,
                "min_area": min_area,
            }
            folder = RegionFolder(to, about, max_bad=max_bad, progress=bar("mining"))
            mine_pairs(pairs, named, matcher, folder, floors=floors)
    kept = len(MinedRegions(to))
    say(
        f"\n{len(pairs):,} images, {named.without:,} of them without a noun; {named.total:,} nouns were named."
    )
    say(
        f"{kept:,} of these have a region with a cosine of at least {floors.score:.4f} and a lead of at least "
        f"{floors.margin:.4f}: {kept / named.total:.1%}."
    )


def _cut(source: Any, to: Path, *, min_area: float, limit: int | None, max_bad: float) -> None:
    if not isinstance(source, Mapping):
        raise ConfigError(
            f"masked images must be a YAML mapping, such as '{{masks: FOLDER, images: FOLDER, classes: FILE}}'. Got "
            f"'{source}'. See docs/data.md."
        )
    with counting() as bar:
        dataset = _first(open_masks(source, reading=Reading(max_bad=max_bad, progress=bar("hashing"))), limit)
        folder = RegionFolder(to, {"source": dict(source)}, max_bad=max_bad, progress=bar("cutting"))
        cut_masks(dataset, folder, min_area=min_area)
    say(f"\n{len(dataset):,} images, {len(dataset.classnames):,} classes.")


def _first(source: _Set, limit: int | None) -> _Set:
    return source if limit is None else source.subset(range(min(limit, len(source))))


def _floors(asked: tuple[float | None, float | None], measure: Callable[[], Floors]) -> Floors:
    score, margin = asked
    if score is not None and margin is not None:
        return Floors(score, margin)
    measured = measure()
    return Floors(measured.score if score is None else score, measured.margin if margin is None else margin)


def _number(text: str, option: str) -> float | None:
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


def _finder(lists: Sequence[str]) -> NounFinder:
    pipelines = [each for each in lists if each.startswith(SCHEME)]
    if not pipelines:
        return VocabularyNouns(vocabulary(lists))
    if len(lists) > 1:
        raise ConfigError(
            f"spaCy finds nouns of any vocabulary. Got {pipelines[0]} beside other lists. Give it alone."
        )
    return SpacyNouns.from_name(pipelines[0].removeprefix(SCHEME))


def _proposer(spec: str) -> MaskProposer:
    scheme, _, rest = spec.partition(":")
    if scheme == "transformers" and rest:
        return TransformersProposer.from_folder(Path(rest), classnames=None)
    if spec == "felzenszwalb":
        return FelzenszwalbProposer()
    known = ("felzenszwalb", "transformers:FOLDER")
    raise ConfigError(f"--proposer must be {' or '.join(known)}. Got '{spec}'.{did_you_mean(spec, known)}")


def _end(regions: MinedRegions, to: Path) -> None:
    """The table of nouns, the contact sheet and what to do next."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Noun")
    table.add_column("Regions", justify="right")
    counts = regions.counts
    for noun, count in list(counts.items())[:_SHOWN]:
        table.add_row(noun, f"{count:,}")
    if len(counts) > _SHOWN:
        rest = list(counts.values())[_SHOWN:]
        table.add_row(f"{len(rest):,} more", f"{sum(rest):,}", style="dim")
    table.add_row("all", f"{len(regions):,}", style="bold")
    Console().print(table)
    with whole_file(to / SHEET) as file:
        contact_sheet(regions).save(file, format="png")
    say(f"Look at them: {to / SHEET}")
    say("\nNext, in run.yaml:\n")
    flow = yaml.safe_dump({"mined": str(to)}, default_flow_style=True, allow_unicode=True, width=10**6)
    say(f"task: segmentation\ndata:\n  train: {flow.strip()}")
