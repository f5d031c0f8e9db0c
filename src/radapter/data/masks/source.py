"""What every kind of source of masked images takes beside its own keys."""

from abc import abstractmethod

from pydantic import Field

from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.source import CORRUPTED, IN_PART, OTHER_PART, Corruption, Part, Reading, Source


class MaskSource(Source):
    """A kind of source of masked images."""

    only: list[str] | None = Field(
        default=None, description="keep the images that show one of these classes and no other"
    )
    without: list[str] | None = Field(
        default=None, description="leave out the images that show one of these classes"
    )
    part: Part | None = Field(default=None, description=IN_PART)
    split_seed: int = Field(default=0, description=OTHER_PART)
    grayscale: bool = Field(default=False, description="whether the colour is taken out of every image")
    corrupt: Corruption | None = Field(default=None, description=f"{CORRUPTED}; masks stay")

    @abstractmethod
    def read(self, reading: Reading) -> PairedMaskDataset:
        """Lists the images and their masks; decodes none.

        Raises:
            ConfigError: a key does not fit what the source holds.
            DataError: the source is missing, empty, damaged or not of this kind, or images and masks do not pair.
        """
