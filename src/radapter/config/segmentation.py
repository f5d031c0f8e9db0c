"""Segmentation in run.yaml: its keys, and the suite that they describe."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from radapter.config.building import tested_sets, tested_source
from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.schema import (
    METHOD,
    SELECT,
    SELECT_BY,
    CommonConfig,
    CommonData,
    Section,
    SelectConfig,
    key,
)
from radapter.config.sources import CorruptedCopy, NamedMaskSources, ShiftedMaskSource
from radapter.data import MinedRegions, PairedMaskDataset, open_masks, open_pairs
from radapter.data.dividing import divided
from radapter.data.masks.kinds import MASKS, MaskDataSource, mask_source
from radapter.data.paths import PATH_OR_NAME, place
from radapter.data.regions import FromMasksSource, MinedSource, MineSource, RegionDataSource
from radapter.data.source import Source, written
from radapter.errors import ConfigError, did_you_mean
from radapter.methods import SEGMENTATION
from radapter.models import DualEncoder, fingerprint
from radapter.processes import Processes
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
from radapter.segmentation.mining.matching import TEMPLATE
from radapter.segmentation.training_regions import Frame, MaskRegions, RegionSet
from radapter.storage import check_writable
from radapter.tasks.segmentation import SegmentationSuite
from radapter.zeroshot import name_key, templates


class SegmentationDataConfig(CommonData):
    """What is trained on, selected on and reported on."""

    source_kinds: ClassVar[Sequence[type[Source]]] = [*MASKS, CorruptedCopy]

    train: RegionDataSource = Field(description="regions to train on, each with a noun")
    id_val: MaskDataSource | None = key(
        None, "in-distribution masked images, which select alpha, epoch and learning rate"
    )
    id_test: NamedMaskSources = Field(
        description="in-distribution masked images: one source, or a mapping of names to sources"
    )
    ood: dict[str, ShiftedMaskSource] = key(
        {}, "shifted masked images: a mapping of names to sources, or to {corrupt: id_test}; may be empty"
    )
    unseen: list[str] = key(
        [], "nouns whose regions are not used in training; their IoU is reported separately"
    )
    templates: Annotated[list[str] | str, PATH_OR_NAME] = key(
        "short",
        "prompts of nouns and class names: short, imagenet, a text file with one per line, or"
        " a list; each with one {}",
    )

    @classmethod
    def divided(cls, source: dict[str, Any]) -> dict[str, Any]:
        """Return the three sets; the training set is the regions of its masks."""
        if "layout" in source and source.get("split") is None:
            raise ConfigError(
                "data.layout is one source for all sets. Give data.split, the split to cut by content, or give "
                "data.train, data.id_val and data.id_test a layout with a split each."
            )
        sets = divided(source)
        return {**sets, "train": {"from_masks": sets["train"]}}


class RegionsConfig(Section):
    """How regions of a tested image are found, and how regions are cut out."""

    scales: list[Annotated[float, Field(gt=0)]] = key(
        [100.0, 300.0, 900.0],
        "scales of Felzenszwalb's segmentation; larger ones give larger regions",
        min_length=1,
    )
    sigma: float = key(0.8, "width of the Gaussian that smooths the image first, in pixels", ge=0)
    min_size: int = key(20, "smaller regions are joined to a neighbour, in pixels of the image", ge=1)
    max_overlap: float = key(0.8, "IoU of two regions above which the smaller one is dropped", ge=0, le=1)
    max_regions: int = key(100, "largest number of regions in an image", ge=1)
    expand: float = key(1.0, "factor by which a region's box is enlarged, in training too", ge=1)
    square: bool = key(
        False,
        (
            "whether boxes are widened to squares, which keeps proportions, in training too; "
            "otherwise regions are stretched"
        ),
    )
    ovseg_compat: bool = key(False, "whether crops are resized as in OVSeg's release, without antialiasing")


class SegmentationSelect(SelectConfig):
    """What is chosen on data.id_val, and by which figure."""

    by: Literal["miou"] = key("miou", SELECT_BY)


class SegmentationRunConfig(CommonConfig):
    """A whole run.yaml of segmentation."""

    methods: ClassVar[MethodOf] = MethodOf(SEGMENTATION, "segmentation")
    task: Literal["segmentation"] = Field(description="what is learned")
    method: Annotated[NamedSettings, methods] = METHOD
    select: SegmentationSelect = key(SegmentationSelect(), SELECT)
    data: SegmentationDataConfig = Field(description="the data sets")
    regions: RegionsConfig = key(RegionsConfig(), "the regions of tested images")


def segmentation_suite(
    config: SegmentationRunConfig, encoder: DualEncoder, processes: Processes
) -> SegmentationSuite:
    """Open the regions to train on, mined first if that is asked for, and the masked images to test on.

    Raises:
        InputError: a source, a noun or a template is missing or wrong.
    """
    data = config.data
    regions = _training_regions(config, encoder, processes)
    unseen = _nouns_among(regions, data.unseen)
    return SegmentationSuite(
        train=regions,
        **tested_sets(data, partial(open_masks, reading=config.reading), mask_source),
        templates=templates(data.templates),
        **region_settings(config.regions, encoder),
        unseen=unseen,
    )


def reopened_masks(
    config: SegmentationRunConfig, role: str, name: str, classnames: Sequence[str]
) -> PairedMaskDataset:
    """Open one ID or OOD test set again; it has class names of its own."""
    return open_masks(tested_source(config.data, role, name, mask_source), name=name, reading=config.reading)


def region_settings(regions: RegionsConfig, encoder: DualEncoder) -> dict[str, Any]:
    """Return the fields of a `SegmentationSuite` that find and cut regions."""
    style = CropStyle(expand=regions.expand, square=regions.square, ovseg_compat=regions.ovseg_compat)
    return {
        "proposer": proposer_of(regions),
        "crop": partial(
            region_crops, size=encoder.image_size, mean=encoder.image_mean, std=encoder.image_std, style=style
        ),
        "frame": frame_of(regions),
    }


def proposer_of(regions: RegionsConfig) -> FelzenszwalbProposer:
    """Return what finds the regions of a tested image."""
    return FelzenszwalbProposer(**regions.model_dump(exclude={"expand", "square", "ovseg_compat"}))


def frame_of(regions: RegionsConfig) -> Frame:
    """Return the frame of trained regions, which is that of tested ones."""
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
    """Mine the pairs that are not in the folder yet; regions are found as in tested images."""
    data = config.data
    check_writable(folder)
    finder = VocabularyNouns(vocabulary(source.nouns))
    with counting() as bar:
        reading = replace(config.reading, progress=bar("hashing"))
        pairs = open_pairs(source.mine, name="train", reading=reading, join=False)
        named = readable_nouns(named_nouns(pairs, finder), encoder, TEMPLATE)
        matcher = RegionMatcher(encoder, proposer_of(config.regions), named.nouns, min_area=source.min_area)
        floors = _floors(source, lambda: measured_floors(pairs, named, matcher, progress=bar("floors")))
        about = {
            "source": written(source.mine),
            "model": fingerprint(encoder),
            "proposer": config.regions.model_dump(),
            "template": TEMPLATE,
            "min_area": source.min_area,
        }
        to = RegionFolder(folder, about, max_bad=data.max_bad, progress=bar("mining"))
        mine_pairs(pairs, named, matcher, to, floors=floors)


def _floors(source: MineSource, measure: Callable[[], Floors]) -> Floors:
    if source.floor != "auto" and source.margin != "auto":
        return Floors(source.floor, source.margin)
    measured = measure()
    return Floors(
        measured.score if source.floor == "auto" else source.floor,
        measured.margin if source.margin == "auto" else source.margin,
    )


def _nouns_among(regions: RegionSet, unseen: Sequence[str]) -> tuple[str, ...]:
    """The nouns of data.unseen, spelt as in the regions."""
    spelling = {name_key(noun): noun for noun in regions.nouns}
    for noun in unseen:
        if name_key(noun) not in spelling:
            raise ConfigError(
                f"data.unseen must hold nouns of data.train. Got '{noun}'.{did_you_mean(noun, regions.nouns)}"
            )
    return tuple(spelling[name_key(noun)] for noun in unseen)
