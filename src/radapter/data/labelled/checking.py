"""What a data set holds, examined before training: classes, images, groups, copies, unreadable files.

Every content hash is known once a set is open, so copies are counted over the whole set. Decoding is slow, so sizes,
formats and damage are determined on a sample spread evenly over the set, unless all of it is requested.
"""

import collections
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor

from radapter.data.images.decoding import file_format
from radapter.data.images.sampling import looked_at, spread
from radapter.data.images.sequences import ArrayImages, ChangedImages
from radapter.data.labelled.classification import ClassificationSet
from radapter.data.splits import UNREADABLE, Progress
from radapter.errors import ImageError

SAMPLE = 1000
"""Images that are decoded by default."""


@final
@dataclass(frozen=True)
class Findings:
    """The content of a set.

    Attributes:
        copy_pairs: the names of each copy and of the first image with the same content.
        torn: those of `copy_pairs` whose images have different classes.
        decoded: number of images that were decoded, or could not be.
        unreadable: the errors of images that could not be decoded.
        formats: file format -> decoded images; "no file" for drawn images.
        widths: (lowest, highest) of the decoded images, in pixels; so `heights`.
    """

    images: int
    per_class: dict[str, int]
    per_group: dict[str, int]
    copy_pairs: tuple[tuple[str, str], ...]
    torn: tuple[tuple[str, str], ...]
    decoded: int
    unreadable: tuple[str, ...]
    formats: dict[str, int]
    widths: tuple[int, int] | None
    heights: tuple[int, int] | None

    @property
    def copies(self) -> int:
        """How many images repeat an earlier one."""
        return len(self.copy_pairs)


def look_at(
    dataset: ClassificationSet, *, sample: int | None = SAMPLE, progress: Progress | None = None
) -> Findings:
    """Counts the content of a set and decodes `sample` of its images, spread evenly; None decodes all.

    Images whose bytes could not be read when the set was opened are always tried.
    """
    first: dict[int, int] = {}  # content hash -> index of the first image
    keys, labels = dataset.keys.tolist(), dataset.labels.tolist()
    repeats = [key != UNREADABLE and first.setdefault(key, index) != index for index, key in enumerate(keys)]
    copies = [(index, first[keys[index]]) for index, is_copy in enumerate(repeats) if is_copy]
    named = [(dataset.where(index), dataset.where(first)) for index, first in copies]
    looks = list(_looks(dataset, spread(dataset.keys, sample), progress))
    found = [look for look in looks if not isinstance(look, str)]
    widths, heights = [look[0] for look in found], [look[1] for look in found]
    return Findings(
        images=len(dataset),
        per_class=_counts(dataset.labels, dataset.classnames),
        per_group={} if dataset.groups is None else _counts(dataset.groups, dataset.groupnames),
        copy_pairs=tuple(named),
        torn=tuple(pair for pair, (i, j) in zip(named, copies, strict=True) if labels[i] != labels[j]),
        decoded=len(looks),
        unreadable=tuple(look for look in looks if isinstance(look, str)),
        formats=dict(collections.Counter(look[2] for look in found)),
        widths=(min(widths), max(widths)) if found else None,
        heights=(min(heights), max(heights)) if found else None,
    )


def _counts(numbers: Tensor, names: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(names, numbers.bincount(minlength=len(names)).tolist(), strict=True))


def _looks(
    dataset: ClassificationSet, chosen: list[int], progress: Progress | None
) -> Iterator[tuple[int, int, str] | str]:
    """(width, height, format) of each image, or its error."""
    images = dataset.images
    while isinstance(images, ChangedImages):
        images = images.unchanged
    has_files = not isinstance(images, ArrayImages)

    def look(index: int) -> tuple[int, int, str] | str:
        try:
            width, height = dataset.image(index).size
            content = images.content(int(dataset.rows[index])) if has_files else None
        except ImageError as error:
            return str(error)
        return width, height, "no file" if content is None else file_format(content)

    return looked_at(look, chosen, progress=progress)
