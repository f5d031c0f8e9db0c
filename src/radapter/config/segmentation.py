"""The keys of run.yaml that segmentation alone has: regions to train on, masked images, how regions are cut."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.schema import METHOD, SELECT, SELECT_BY, CommonConfig, CommonData, Section, SelectConfig
from radapter.config.sources import CorruptedCopy, NamedMaskSources, ShiftedMaskSource
from radapter.data.masks.kinds import MASKS, MaskDataSource
from radapter.data.paths import PATH_OR_NAME
from radapter.data.regions import RegionDataSource
from radapter.data.source import Source
from radapter.methods import SEGMENTATION


class SegmentationDataConfig(CommonData):
    """What is trained on, selected on and reported on."""

    source_kinds: ClassVar[Sequence[type[Source]]] = [*MASKS, CorruptedCopy]

    train: RegionDataSource = Field(description="regions with a noun each to train on")
    id_val: MaskDataSource | None = Field(
        default=None,
        description="in-distribution masked images: they choose alpha, and nothing else does",
    )
    id_test: NamedMaskSources = Field(
        description="in-distribution masked images: one source, or a mapping of names to sources"
    )
    ood: dict[str, ShiftedMaskSource] = Field(
        default_factory=dict,
        description="shifted masked images: a mapping of names to sources, or to {corrupt: id_test}; may be empty",
    )
    unseen: list[str] = Field(
        default=[],
        description="nouns whose regions are not trained on; their IoU is reported apart from the others'",
    )
    templates: Annotated[list[str] | str, PATH_OR_NAME] = Field(
        default="short",
        description="prompts of nouns and class names: short, imagenet, a text file with one a line, or a list; "
        "each with one {}",
    )


class RegionsConfig(Section):
    """How regions of a tested image are found, and how regions are cut out."""

    scales: list[Annotated[float, Field(gt=0)]] = Field(
        default=[100.0, 300.0, 900.0],
        min_length=1,
        description="of Felzenszwalb's segmentation; larger ones give larger regions",
    )
    sigma: float = Field(default=0.8, ge=0, description="of the Gaussian that smooths an image first, pixels")
    min_size: int = Field(
        default=20, ge=1, description="smaller regions are joined to a neighbour, in pixels of the image"
    )
    max_overlap: float = Field(
        default=0.8, ge=0, le=1, description="of two regions whose IoU is above it the smaller is dropped"
    )
    max_regions: int = Field(default=100, ge=1, description="most regions of an image")
    expand: float = Field(
        default=1.0, ge=1, description="by which the sides of a region's box are multiplied, in training too"
    )
    square: bool = Field(
        default=False,
        description="whether boxes are widened to squares, which keeps proportions, in training too; else regions "
        "are stretched",
    )
    ovseg_compat: bool = Field(
        default=False, description="whether crops are resized as in OVSeg's release, without antialiasing"
    )


class SegmentationSelect(SelectConfig):
    """What is chosen on data.id_val, and by which figure."""

    by: Literal["miou"] = Field(default="miou", description=SELECT_BY)


class SegmentationRunConfig(CommonConfig):
    """A whole run.yaml of segmentation."""

    methods: ClassVar[MethodOf] = MethodOf(SEGMENTATION, "segmentation")
    task: Literal["segmentation"] = Field(description="what is learned")
    method: Annotated[NamedSettings, methods] = METHOD
    select: SegmentationSelect = Field(default=SegmentationSelect(), description=SELECT)
    data: SegmentationDataConfig = Field(description="the data sets")
    regions: RegionsConfig = Field(default=RegionsConfig(), description="the regions of tested images")
