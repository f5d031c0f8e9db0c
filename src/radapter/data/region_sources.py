"""The kinds of source of regions with a noun each. A new one is a class here, and a line in `REGIONS`.

`radapter.segmentation` cuts out the regions of `MineSource` and `FromMasksSource`.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from radapter.data.masks.kinds import MaskDataSource
from radapter.data.pairs.kinds import PairDataSource
from radapter.data.paths import PATH, PATHS_OR_NAMES, place
from radapter.data.regions import MinedRegions
from radapter.data.source import Reading, Source, source_type


class RegionSource(Source):
    """A kind of source of regions."""


class MinedSource(RegionSource):
    """What `radapter mine` wrote."""

    mined: Annotated[str, PATH] = Field(description="the folder of shards")

    def read(self, reading: Reading) -> MinedRegions:
        """Opens the folder; raises DataError if it is missing, damaged or not finished."""
        return MinedRegions(place(self.mined), name="train", max_pixels=reading.max_pixels)


class MineSource(RegionSource):
    """Captioned images, mined before training with the run's model as it came."""

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
