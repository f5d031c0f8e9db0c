"""The keys that all kinds of source of labelled images share, and the images that a source gives."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from torch import Tensor

from radapter.data.images.sequences import Images
from radapter.data.paths import PATH_OR_NAME
from radapter.data.source import CORRUPTED, IN_PART, OTHER_PART, Corruption, Part, Reading, Source
from radapter.data.wording import Accepts
from radapter.errors import ConfigError

_Map = Annotated[
    dict[str | int, str | int | None], Accepts("a mapping of class names to class names or null")
]


class LabelledImages(NamedTuple):
    """N labelled images, as a source gives them.

    Attributes:
        labels: N names or N integers; None for a row without label.
        classnames: the source's own class list, if it has one.
        keys: (N,), int64, content hashes, if the source has them; otherwise they are computed.
        candidates: for a source that shows only some of the training classes, each of these with its other names.
        groups: N names, one per image, if the source has groups.
        notes: sentences for the user about the class names.
    """

    name: str
    images: Images
    labels: Sequence[str | int | None]
    classnames: tuple[str, ...] | None
    keys: Tensor | None = None
    candidates: Mapping[str, Sequence[str]] | None = None
    groups: Sequence[str] | None = None
    notes: tuple[str, ...] = ()


class LabelledSource(Source):
    """A kind of source of labelled images; `draws_as_coop` tells whether it has the order in which CoOp draws."""

    changes: ClassVar[Mapping[str, str]] = {
        "split_seed": "part",
        "shots_seed": "shots",
        "shots_scheme": "shots",
        "half_order": "half",
    }
    draws_as_coop: ClassVar[bool] = False

    part: Part | None = Field(default=None, description=IN_PART)
    split_seed: int = Field(default=0, description=OTHER_PART)
    shots: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="keep this many images of each class, drawn by their content; larger draws contain smaller ones",
    )
    shots_seed: int = Field(default=0, description="another number draws other shots")
    shots_scheme: Literal["content", "coop"] = Field(
        default="content",
        description="content draws by a hash of each image; coop draws as CoOp does with the seed shots_seed, only "
        "from its split files, and at most 4 images of each class of val",
    )
    half: Literal["base", "novel"] | None = Field(
        default=None, description="keep the first (larger) or the second half of the source's class list"
    )
    half_order: Literal["list", "names"] = Field(
        default="list",
        description="order for half: the class list's (CoOp) or alphabetical (R-Adapter's release)",
    )
    labels: _Map | None = Field(
        default=None,
        description="source class: training class, many to one, for test sets with other names; null drops a class",
    )
    classes: Annotated[list[str] | str | None, PATH_OR_NAME] = Field(
        default=None, description="the source's class list, a list or a text file: names of integer labels"
    )
    shared: bool = Field(
        default=False, description="drop classes that training lacks; otherwise they are an error"
    )
    corrupt: Corruption | None = Field(default=None, description=CORRUPTED)

    @abstractmethod
    def read(self, reading: Reading) -> LabelledImages:
        """Lists the images and their labels without decoding any; raises ConfigError and DataError."""

    def coop_rows(self) -> list[int]:
        """The rows that CoOp draws as shots; only for kinds with its order."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _coop_draws_from_a_whole_split(self) -> Self:
        if self.shots_scheme != "coop":
            return self
        if not self.draws_as_coop:
            raise ConfigError(
                f"shots_scheme: coop draws in the order of a split file of CoOp. Got a {self.key()} source. Give a "
                "coop source, or leave shots_scheme out."
            )
        if self.part is not None:
            raise ConfigError("shots_scheme: coop draws from the whole split. Got part too. Leave one out.")
        return self
