"""Target classes of image-text pairs: groups that share a caption are one class.

Positives must be transitive. Where two images have one caption word for word, each is a right answer to it, so their
groups are joined, and theirs with others, by union-find over the whole data set. Captions are compared after Unicode
NFKC, case folding, and squeezing of white space; punctuation counts, because "A dog ." and "A dog" come from people
who wrote by different rules, and joining them too merges little but lengthens chains.
"""

import collections
import dataclasses
import logging
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from radapter.errors import DataError
from radapter.zeroshot import normalised

LARGEST = 100
"""Images in one class above which joining is warned about."""

_log = logging.getLogger(__name__)


@final
@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """What joining did.

    Attributes:
        images: N.
        captions: M.
        shared_captions: distinct captions that images of two or more groups have.
        classes: target classes.
        largest: images in the largest class.
    """

    images: int
    captions: int
    shared_captions: int
    classes: int
    largest: int


def target_classes(
    captions: Sequence[str], image_of_caption: Tensor, groups: Tensor, *, join: bool = True
) -> Tensor:
    """The class of each image.

    Args:
        captions: M.
        image_of_caption: (M,), int64, into N images.
        groups: (N,), int64; images of one group are of one class.
        join: whether groups that share a caption are one class; else each group is a class.

    Returns:
        (N,), int64, in [0, K), numbered in the order in which they first occur.

    Raises:
        DataError: shapes differ, or a caption is of no image.
    """
    _check(captions, image_of_caption, groups)
    numbers = groups.tolist()
    parent = {group: group for group in numbers}
    if join:
        first: dict[str, int] = {}
        for caption, image in zip(captions, image_of_caption.tolist(), strict=True):
            ours = _root(parent, numbers[image])
            theirs = _root(parent, first.setdefault(normalised(caption), ours))
            parent[theirs] = ours
    place: dict[int, int] = {}
    classes = [place.setdefault(_root(parent, group), len(place)) for group in numbers]
    return torch.tensor(classes, dtype=torch.int64)


def class_figures(
    captions: Sequence[str], image_of_caption: Tensor, groups: Tensor, targets: Tensor
) -> ClassFigures:
    """Counts classes and what they share.

    Args:
        captions: M.
        image_of_caption: (M,), int64, into N images.
        groups: (N,), int64.
        targets: (N,), int64, from `target_classes`.

    Raises:
        DataError: shapes differ, or a caption is of no image.
    """
    _check(captions, image_of_caption, groups)
    numbers = groups.tolist()
    owners: dict[str, set[int]] = collections.defaultdict(set)
    for caption, image in zip(captions, image_of_caption.tolist(), strict=True):
        owners[normalised(caption)].add(numbers[image])
    sizes = torch.unique(targets, return_counts=True)[1]
    return ClassFigures(
        images=len(numbers),
        captions=len(captions),
        shared_captions=sum(len(of) > 1 for of in owners.values()),
        classes=len(sizes),
        largest=int(sizes.max()),
    )


def warn_if_large(figures: ClassFigures, name: str, *, limit: int = LARGEST) -> bool:
    """Warns where captions that are shared chained more than `limit` images into one class.

    Classes that only large groups make are not warned about.

    Args:
        figures: of the data set.
        name: what the warning calls it.
        limit: images in a class.

    Returns:
        Whether it warned.
    """
    if figures.largest <= limit or figures.shared_captions == 0:
        return False
    _log.warning(
        "the largest target class of '%s' should hold at most %d images. It holds %d of %d, chained by %d captions "
        "that several images share: they are all positives of each other. Set join to false to keep the groups "
        "apart, or give captions that say more.",
        name,
        limit,
        figures.largest,
        figures.images,
        figures.shared_captions,
    )
    return True


def _root(parent: dict[int, int], group: int) -> int:
    while parent[group] != group:
        parent[group] = parent[parent[group]]  # halves the path, which keeps later walks short
        group = parent[group]
    return group


def _check(captions: Sequence[str], image_of_caption: Tensor, groups: Tensor) -> None:
    if image_of_caption.shape != (len(captions),) or groups.ndim != 1 or len(groups) == 0:
        raise DataError(
            f"image_of_caption must be ({len(captions)},), one a caption, and groups (N,), N >= 1. Got "
            f"{tuple(image_of_caption.shape)} and {tuple(groups.shape)}."
        )
    if len(captions) and not 0 <= int(image_of_caption.min()) <= int(image_of_caption.max()) < len(groups):
        raise DataError(f"image_of_caption must lie in [0, {len(groups) - 1}]. It leaves it.")
