"""The keys that all kinds of source of image-text pairs share, and the captioned images that a source gives."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from torch import Tensor

from radapter.data.images.sequences import Images
from radapter.data.source import CORRUPTED, IN_PART, OTHER_PART, Corruption, Part, Reading, Source
from radapter.errors import DataError


class CaptionedImages(NamedTuple):
    """N captioned images, as a source gives them.

    Attributes:
        groups: N ids; captions of one group are positives of all its images. None makes every image a group.
        keys: (N,), int64, content hashes, if the source has them; otherwise they are computed.
    """

    name: str
    images: Images
    captions: Sequence[Sequence[str]]
    groups: Sequence[Hashable] | None = None
    keys: Tensor | None = None


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
    def read(self, reading: Reading) -> CaptionedImages:
        """Lists the images and their captions without decoding any; raises ConfigError and DataError."""


def texts_of(value: object, where: str) -> tuple[str, ...]:
    """A caption or a list of captions as a tuple without nulls; raises DataError if the value is something else."""
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise DataError(f"captions must be text or a list of text. {where} has {str(value)[:60]!r}.")
    return tuple(text for text in texts if text is not None)


def group_id(value: object, where: str) -> str | int:
    """A group's id; raises DataError if it is neither text nor a whole number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"a group id must be text or a whole number. {where} has {value!r}. Fill it in.")
    return value
