"""The layouts of public data sets: name -> reader, its options, number of classes.

A new one is a reader and a line in LAYOUTS. docs/data.md draws the folders of each.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Self, final

from pydantic import Field, model_validator

from radapter.data.labelled.domains import read_domains
from radapter.data.labelled.imagenet import (
    read_imagenet,
    read_imagenet_c,
    read_imagenet_v2,
    read_wnid_folders,
)
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.labelled.objectnet import read_objectnet
from radapter.data.labelled.source import LabelledSource
from radapter.data.paths import PATH, place
from radapter.data.source import Reading, among
from radapter.errors import ConfigError


@final
@dataclasses.dataclass(frozen=True)
class Layout:
    """One layout.

    Attributes:
        read: (path, reading=, options) -> LabelledPictures.
        classes: how many the whole data set has, if that is fixed.
        options: the options of `read`.
        required: those that `read` needs.
        shifted: whether it is a shifted test set of another data set, never for training.
    """

    read: Callable[..., LabelledPictures]
    classes: int | None
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    shifted: bool = False


_DOMAINS = ("domain", "leave_out")
_SOME_CLASSES = functools.partial(read_wnid_folders, only_these=True)

LAYOUTS: dict[str, Layout] = {
    "imagenet": Layout(read_imagenet, 1000, ("split", "wnids")),
    "imagenet-v2": Layout(read_imagenet_v2, 1000, ("wnids",), shifted=True),
    "imagenet-r": Layout(_SOME_CLASSES, 200, ("wnids",), shifted=True),
    "imagenet-a": Layout(_SOME_CLASSES, 200, ("wnids",), shifted=True),
    "imagenet-sketch": Layout(read_wnid_folders, 1000, ("wnids",), shifted=True),
    "imagenet-c": Layout(
        read_imagenet_c, 1000, ("corruption", "severity", "wnids"), ("corruption", "severity"), shifted=True
    ),
    "objectnet": Layout(read_objectnet, 113, ("wnids",), shifted=True),
    "pacs": Layout(read_domains, 7, _DOMAINS),
    "vlcs": Layout(read_domains, 5, _DOMAINS),
    "office-home": Layout(read_domains, 65, _DOMAINS),
    "domainnet": Layout(read_domains, 345, (*_DOMAINS, "split")),
    "domains": Layout(read_domains, None, _DOMAINS),
}


class LayoutSource(LabelledSource):
    """A public data set as its authors released it.

    docs/data.md draws the folders and lists the options of each layout. `radapter data check PATH --layout NAME`
    prints what the folder holds.
    """

    layout: Annotated[str, among(LAYOUTS)] = Field(
        description=f"{', '.join(list(LAYOUTS)[:-1])} or {list(LAYOUTS)[-1]}"
    )
    path: Annotated[str, PATH] = Field(description="its folder")
    split: str | None = Field(default=None, description="imagenet: train or val; domainnet: train or test")
    wnids: Annotated[str | None, PATH] = Field(
        default=None,
        description="imagenet, imagenet-* and objectnet: a file of WordNet ids; null is ImageNet's 1,000",
    )
    corruption: str | None = Field(default=None, description="imagenet-c: which corruption")
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(
        default=None, description="imagenet-c: how severe"
    )
    domain: str | None = Field(default=None, description="domain folders: the one to read; null is all")
    leave_out: str | list[str] | None = Field(
        default=None, description="domain folders: the domain, or list of domains, not to read"
    )

    def read(self, reading: Reading) -> LabelledPictures:
        """Reads the data set.

        Raises:
            ConfigError: an option names something that the folder lacks.
            DataError: as the layout's reader.
        """
        options = self._options()
        if self.wnids is not None:
            options["wnids"] = place(self.wnids)
        return LAYOUTS[self.layout].read(place(self.path), reading=reading, **options)

    def _options(self) -> dict[str, Any]:
        """The given options of the layout's reader."""
        own = inspect.get_annotations(type(self)).keys() - {"layout", "path"}
        given = {key: getattr(self, key) for key in own & self.model_fields_set}
        return {key: value for key, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _takes_its_options(self) -> Self:
        layout = LAYOUTS[self.layout]
        for key in self._options():
            if key not in layout.options:
                raise ConfigError(
                    f"layout '{self.layout}' takes the options {', '.join(layout.options)}. Got {key!r}. "
                    "Leave it out."
                )
        for key in layout.required:
            if getattr(self, key) is None:
                raise ConfigError(f"layout '{self.layout}' needs {key}. Give it beside path.")
        return self
