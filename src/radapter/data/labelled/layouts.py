"""The layouts of public data sets: name -> reader, what it takes, how many classes it has.

A new one is a reader and a line in LAYOUTS. docs/data.md draws the folders of each.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from radapter.data.labelled.domains import read_domainnet, read_domains
from radapter.data.labelled.imagenet import (
    read_imagenet,
    read_imagenet_c,
    read_imagenet_sketch,
    read_imagenet_subset,
    read_imagenet_v2,
)
from radapter.data.labelled.labels import Source
from radapter.data.labelled.objectnet import read_objectnet
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.errors import ConfigError, did_you_mean


@final
@dataclasses.dataclass(frozen=True)
class Layout:
    """One layout.

    Attributes:
        read: (path, max_pixels=, options) -> Source.
        classes: how many the whole data set has; None where that varies.
        options: what `read` takes.
        required: which of these it cannot do without.
        shifted: whether it is a shifted test set of another data set, never one to train on.
    """

    read: Callable[..., Source]
    classes: int | None
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    shifted: bool = False


_DOMAINS = ("domain", "leave_out")

LAYOUTS: dict[str, Layout] = {
    "imagenet": Layout(read_imagenet, 1000, ("split", "wnids")),
    "imagenet-v2": Layout(read_imagenet_v2, 1000, ("wnids",), shifted=True),
    "imagenet-r": Layout(read_imagenet_subset, 200, ("wnids",), shifted=True),
    "imagenet-a": Layout(read_imagenet_subset, 200, ("wnids",), shifted=True),
    "imagenet-sketch": Layout(read_imagenet_sketch, 1000, ("wnids",), shifted=True),
    "imagenet-c": Layout(
        read_imagenet_c, 1000, ("corruption", "severity", "wnids"), ("corruption", "severity"), shifted=True
    ),
    "objectnet": Layout(read_objectnet, 113, ("wnids",), shifted=True),
    "pacs": Layout(read_domains, 7, _DOMAINS),
    "vlcs": Layout(read_domains, 5, _DOMAINS),
    "office-home": Layout(read_domains, 65, _DOMAINS),
    "domainnet": Layout(read_domainnet, 345, (*_DOMAINS, "split")),
    "domains": Layout(read_domains, None, _DOMAINS),
}

OPTIONS = tuple(dict.fromkeys(name for layout in LAYOUTS.values() for name in layout.options))


def read_layout(name: str, path: Path, options: Mapping[str, Any], *, max_pixels: int = MAX_PIXELS) -> Source:
    """Reads a data set of a known layout.

    Args:
        name: a key of LAYOUTS.
        path: its folder.
        options: among the layout's.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: the layout is unknown, does not take an option, or lacks one.
        DataError: what the reader raises.
    """
    layout = layout_of(name)
    for key in options:
        if key not in layout.options:
            raise ConfigError(
                f"layout '{name}' takes the options {', '.join(layout.options)}. Got {key!r}. Leave it out."
            )
    for key in layout.required:
        if key not in options:
            raise ConfigError(f"layout '{name}' needs {key}. Give it beside path.")
    return layout.read(path, max_pixels=max_pixels, **options)


def layout_of(name: str) -> Layout:
    """The layout of that name; ConfigError proposes the nearest."""
    if name not in LAYOUTS:
        raise ConfigError(
            f"layout must be one of {', '.join(LAYOUTS)}. Got {name!r}.{did_you_mean(name, LAYOUTS)}"
        )
    return LAYOUTS[name]
