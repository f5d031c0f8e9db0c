"""The keys that all kinds of source of image-text pairs share."""

from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from radapter.data.pairs.captioned import CaptionedPictures
from radapter.data.source import CORRUPTED, IN_PART, OTHER_PART, Corruption, Part, Reading, Source


class PairSource(Source):
    """A kind of source of image-text pairs."""

    captions_per_image: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="keep this many first captions of each image; null keeps all"
    )
    part: Part | None = Field(default=None, description=IN_PART)
    split_seed: int = Field(default=0, description=OTHER_PART)
    paraphrase: bool = Field(default=False, description="reword every caption by a fixed table")
    grayscale: bool = Field(default=False, description="remove the colour of every image")
    corrupt: Corruption | None = Field(default=None, description=CORRUPTED)

    @abstractmethod
    def read(self, reading: Reading) -> CaptionedPictures:
        """Lists the images and their captions without decoding any.

        Raises:
            ConfigError: a key does not fit the content of the source.
            DataError: the source is missing, empty, damaged or not of this kind.
        """
