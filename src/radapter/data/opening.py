"""Opening a data set from a specification: a path, or a mapping with the source and its options."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from radapter.data.bad_images import MAX_BAD
from radapter.data.classification import ClassificationSet
from radapter.data.images import MAX_PIXELS


def open_classification(
    spec: str | Mapping[str, Any],
    *,
    classnames: Sequence[str] | None = None,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bad: float = MAX_BAD,
    allow_download: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ClassificationSet:
    """Opens a labelled data set (being filled in)."""
    raise NotImplementedError
