"""What every kind of source of image-text pairs takes beside its own keys."""

from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from radapter.data.pairs.captioned import CaptionedPictures
from radapter.data.source import CORRUPTED, IN_PART, OTHER_PART, Corruption, Part, Reading, Source


class PairSource(Source):
    """A kind of source of image-text pairs."""

    captions_per_image: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="keep the first captions of each image, this many; null keeps all"
    )
    part: Part | None = Field(default=None, description=IN_PART)
    split_seed: int = Field(default=0, description=OTHER_PART)
    paraphrase: bool = Field(
        default=False, description="whether every caption is said in other words, by a fixed table"
    )
    grayscale: bool = Field(default=False, description="whether the colour is taken out of every image")
    corrupt: Corruption | None = Field(default=None, description=CORRUPTED)

    @abstractmethod
    def read(self, reading: Reading) -> CaptionedPictures:
        """Lists the images and their captions; decodes no image.

        Raises:
            ConfigError: a key does not fit what the source holds.
            DataError: the source is missing, empty, damaged or not of this kind.
        """
