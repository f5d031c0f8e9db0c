"""From a checked configuration of segmentation to its suite."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from radapter.config import SegmentationRunConfig
from radapter.config.segmentation import RegionsConfig
from radapter.config.shifted import shifted_sources
from radapter.data import MinedRegions, PairedMaskDataset, open_masks, open_pairs
from radapter.data.masks.kinds import mask_source
from radapter.data.paths import place
from radapter.data.region_sources import FromMasksSource, MinedSource, MineSource
from radapter.data.source import written
from radapter.errors import ConfigError, did_you_mean
from radapter.models import DualEncoder, fingerprint
from radapter.processes import ALONE, Processes
from radapter.progress import counting
from radapter.segmentation import FelzenszwalbProposer, region_crops
from radapter.segmentation.crops import CropStyle
from radapter.segmentation.mining import (
    Floors,
    RegionFolder,
    RegionMatcher,
    VocabularyNouns,
    measured_floors,
    mine_pairs,
    named_nouns,
    readable_nouns,
    vocabulary,
)
from radapter.segmentation.mining.regions import TEMPLATE
from radapter.segmentation.region_loader import Crop
from radapter.segmentation.training_regions import Frame, MaskRegions, RegionSet
from radapter.storage import check_writable
from radapter.tasks.segmentation import SegmentationSuite
from radapter.zeroshot import name_key, templates


def segmentation_suite(
    config: SegmentationRunConfig, encoder: DualEncoder, processes: Processes = ALONE
) -> SegmentationSuite:
    """Regions to train on, mined where that is asked for, and masked images to test on.

    Raises:
        InputError: a source, a noun or a template is missing or wrong.
    """
    data = config.data
    read = partial(open_masks, reading=config.reading)
    regions = _training_regions(config, encoder, processes)
    unseen = _nouns_among(regions, data.unseen)
    return SegmentationSuite(
        train=regions,
        id_val=None if data.id_val is None else read(data.id_val, name="id_val"),
        id_test={name: read(spec, name=name) for name, spec in data.id_test.items()},
        ood={
            name: read(source, name=name)
            for name, source in shifted_sources(data.ood, data.id_test, mask_source).items()
        },
        templates=templates(data.templates),
        proposer=proposer_of(config.regions),
        crop=crop_of(encoder, config.regions),
        frame=frame_of(config.regions),
        unseen=unseen,
    )


def tested_masks(
    sets: Mapping[str, PairedMaskDataset],
    encoder: DualEncoder,
    prompts: tuple[str, ...],
    regions: RegionsConfig,
    *,
    unseen: tuple[str, ...],
) -> SegmentationSuite:
    """A suite that is only evaluated: nothing is trained or selected on it."""
    return SegmentationSuite(
        train=next(iter(sets.values())),
        id_val=None,
        id_test=sets,
        ood={},
        templates=prompts,
        proposer=proposer_of(regions),
        crop=crop_of(encoder, regions),
        frame=frame_of(regions),
        unseen=unseen,
    )


def proposer_of(regions: RegionsConfig) -> FelzenszwalbProposer:
    """What finds the regions of a tested image."""
    return FelzenszwalbProposer(
        scales=regions.scales,
        sigma=regions.sigma,
        min_size=regions.min_size,
        max_overlap=regions.max_overlap,
        max_regions=regions.max_regions,
    )


def crop_of(encoder: DualEncoder, regions: RegionsConfig) -> Crop:
    """What cuts regions out for an encoder."""
    return partial(
        region_crops,
        size=encoder.image_size,
        mean=encoder.image_mean,
        std=encoder.image_std,
        style=CropStyle(expand=regions.expand, square=regions.square, ovseg_compat=regions.ovseg_compat),
    )


def frame_of(regions: RegionsConfig) -> Frame:
    """How regions that are trained on are framed: as those that are tested on."""
    return Frame(expand=regions.expand, square=regions.square)


def _training_regions(config: SegmentationRunConfig, encoder: DualEncoder, processes: Processes) -> RegionSet:
    source = config.data.train
    if isinstance(source, MinedSource):
        return source.read(config.reading)
    if isinstance(source, FromMasksSource):
        masks = open_masks(source.from_masks, name="train", reading=config.reading)
        return MaskRegions(masks, min_pixels=source.min_pixels)
    assert isinstance(source, MineSource)
    folder = place(source.to)
    processes.on_main(lambda: _mine(config, source, encoder, folder))
    return MinedRegions(folder, name="train", max_pixels=config.data.max_pixels)


def _mine(config: SegmentationRunConfig, source: MineSource, encoder: DualEncoder, folder: Path) -> None:
    """Mines what is not in the folder yet; regions are found as in tested images."""
    data = config.data
    check_writable(folder)
    finder = VocabularyNouns(vocabulary(source.nouns))
    with counting() as bar:
        pairs = open_pairs(
            source.mine,
            name="train",
            reading=replace(config.reading, progress=bar("hashing")),
            join=False,
        )
        named = readable_nouns(named_nouns(pairs, finder), encoder, TEMPLATE)
        matcher = RegionMatcher(encoder, proposer_of(config.regions), named.nouns, min_area=source.min_area)
        floors = _floors(
            source.floor,
            source.margin,
            lambda: measured_floors(pairs, named, matcher, progress=bar("floors")),
        )
        about = {
            "source": written(source.mine),
            "model": fingerprint(encoder),
            "proposer": config.regions.model_dump(),
            "template": TEMPLATE,
            "min_area": source.min_area,
        }
        to = RegionFolder(folder, about, max_bad=data.max_bad, progress=bar("mining"))
        mine_pairs(pairs, named, matcher, to, floors=floors)


def _floors(
    floor: float | Literal["auto"], margin: float | Literal["auto"], measure: Callable[[], Floors]
) -> Floors:
    """What was asked for; auto is measured."""
    if floor != "auto" and margin != "auto":
        return Floors(floor, margin)
    measured = measure()
    return Floors(
        measured.score if floor == "auto" else floor, measured.margin if margin == "auto" else margin
    )


def _nouns_among(regions: RegionSet, unseen: Sequence[str]) -> tuple[str, ...]:
    """The nouns that data.unseen names, as the regions spell them."""
    spelling = {name_key(noun): noun for noun in regions.nouns}
    for noun in unseen:
        if name_key(noun) not in spelling:
            raise ConfigError(
                f"data.unseen must hold nouns of data.train. Got '{noun}'.{did_you_mean(noun, regions.nouns)}"
            )
    return tuple(spelling[name_key(noun)] for noun in unseen)
