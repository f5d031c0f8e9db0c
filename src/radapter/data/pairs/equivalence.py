"""Target classes of image-text pairs: groups that share a caption form one class.

Positives must be transitive. If two images have the same caption word for word, each is a right answer to it, so
union-find joins their groups over the whole data set. Captions are compared after Unicode NFKC, case folding and
squeezing of white space. Punctuation counts: "A dog ." and "A dog" come from annotators with different rules, and
joining them too would merge little but lengthen chains.
"""

import collections
import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from radapter.errors import DataError
from radapter.zeroshot import normalised

LARGEST = 100
"""Images in one class above which joining causes a warning."""
_log = logging.getLogger(__name__)


class ClassFigures(NamedTuple):
    """Counts; `shared_captions` are distinct captions in two or more groups, `largest` is in images."""

    images: int
    captions: int
    shared_captions: int
    classes: int
    largest: int


def target_classes(
    captions: Sequence[str], image_of_caption: Tensor, groups: Tensor, *, join: bool = True
) -> Tensor:
    """The class of each image: (N,), int64, in [0, K), numbered in the order of first occurrence.

    Args:
        captions: M.
        image_of_caption: (M,), int64, into N images.
        groups: (N,), int64; images of one group belong to one class.
        join: whether groups that share a caption form one class; otherwise each group is a class.
    """
    if image_of_caption.shape != (len(captions),) or groups.ndim != 1 or len(groups) == 0:
        raise DataError(
            f"image_of_caption must be ({len(captions)},), one per caption, and groups (N,), N >= 1. Got "
            f"{tuple(image_of_caption.shape)} and {tuple(groups.shape)}."
        )
    outside = image_of_caption[(image_of_caption < 0) | (image_of_caption >= len(groups))]
    if len(outside):
        raise DataError(f"image_of_caption must be in [0, {len(groups) - 1}]. Got {int(outside[0])}.")
    numbers = groups.tolist()
    parent = {group: group for group in numbers}
    if join:
        first: dict[str, int] = {}
        for caption, image in zip(captions, image_of_caption.tolist(), strict=True):
            ours = _root(parent, numbers[image])
            theirs = _root(parent, first.setdefault(normalised(caption), ours))
            parent[theirs] = ours
    number_of: dict[int, int] = {}
    classes = [number_of.setdefault(_root(parent, group), len(number_of)) for group in numbers]
    return torch.tensor(classes, dtype=torch.int64)


def class_figures(
    captions: Sequence[str], image_of_caption: Tensor, groups: Tensor, targets: Tensor
) -> ClassFigures:
    """Counts classes and shared captions; `targets` is the result of `target_classes` for the other arguments."""
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
    """Warns if shared captions chain more than `limit` images into one class; returns whether it warned.

    Classes that are large only because of their groups cause no warning.
    """
    if figures.largest <= limit or figures.shared_captions == 0:
        return False
    _log.warning(
        "the largest target class of '%s' should hold at most %d images. It holds %d of %d, chained by %d captions "
        "that several images share: they are all positives of each other. Set join to false to keep the groups "
        "apart, or give more specific captions.",
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
