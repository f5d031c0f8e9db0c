"""What a data set holds, before anything is trained on it: classes, images, groups, copies, what cannot be read.

Every content hash is known once a set is open, so copies are counted over all of it. Decoding is slow, so sizes,
formats and damage are found on a sample that is spread evenly over the set, unless all of it is asked for.
"""

import collections
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from radapter.data.labelled.classification import ClassificationSet
from radapter.data.pictures.decoding import file_format
from radapter.data.pictures.pictures import ArrayPictures, ChangedPictures
from radapter.data.pictures.sampling import looked_at, spread
from radapter.data.splits import UNREADABLE, Progress
from radapter.errors import ImageError

SAMPLE = 1000
"""Pictures that are decoded where not all are."""


@final
@dataclass(frozen=True)
class Findings:
    """What was found in a set of N pictures.

    Attributes:
        images: N.
        per_class: class name -> pictures, in the order of the class list.
        per_group: group name -> pictures; empty where there are no groups.
        copy_pairs: (a picture, the earlier one of the same content) of each copy, as messages call them.
        torn: those of `copy_pairs` whose two pictures have different classes.
        decoded: pictures that were decoded or tried.
        unreadable: what is wrong with each that could not be decoded.
        formats: file format -> pictures among the decoded; "no file" where pictures are drawn.
        widths: (lowest, highest) in pixels among the decoded; None where none was.
        heights: the same.
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
        """How many pictures repeat an earlier one."""
        return len(self.copy_pairs)


def look_at(
    dataset: ClassificationSet, *, sample: int | None = SAMPLE, progress: Progress | None = None
) -> Findings:
    """Counts what a set holds and decodes a sample of it.

    Args:
        dataset: the set; nothing of it is changed.
        sample: how many pictures are decoded, spread evenly; None decodes all. Those whose bytes could not be
            read when the set was opened are always tried.
        progress: told (done, all) while pictures are decoded.
    """
    counts = dataset.labels.bincount(minlength=len(dataset.classnames)).tolist()
    copies = list(_copies(dataset))
    labels = dataset.labels.tolist()
    named = [(dataset.where(index), dataset.where(first)) for index, first in copies]
    torn = [
        pair for pair, (index, first) in zip(named, copies, strict=True) if labels[index] != labels[first]
    ]
    chosen = spread(dataset.keys, sample)
    looks = list(_looks(dataset, chosen, progress))
    sizes = [look[:2] for look in looks if not isinstance(look, str)]
    return Findings(
        images=len(dataset),
        per_class=dict(zip(dataset.classnames, counts, strict=True)),
        per_group=_per_group(dataset),
        copy_pairs=tuple(named),
        torn=tuple(torn),
        decoded=len(looks),
        unreadable=tuple(look for look in looks if isinstance(look, str)),
        formats=dict(collections.Counter(look[2] for look in looks if not isinstance(look, str))),
        widths=(min(w for w, _ in sizes), max(w for w, _ in sizes)) if sizes else None,
        heights=(min(h for _, h in sizes), max(h for _, h in sizes)) if sizes else None,
    )


def _per_group(dataset: ClassificationSet) -> dict[str, int]:
    if dataset.groups is None:
        return {}
    counts = dataset.groups.bincount(minlength=len(dataset.groupnames)).tolist()
    return dict(zip(dataset.groupnames, counts, strict=True))


def _copies(dataset: ClassificationSet) -> Iterator[tuple[int, int]]:
    """(index, index of the first picture with this content) of every copy."""
    first: dict[int, int] = {}
    for index, key in enumerate(dataset.keys.tolist()):
        if key != UNREADABLE and first.setdefault(key, index) != index:
            yield index, first[key]


def _looks(
    dataset: ClassificationSet, chosen: list[int], progress: Progress | None
) -> Iterator[tuple[int, int, str] | str]:
    """(width, height, format) of each picture, or what is wrong with it."""
    pictures = dataset.pictures
    while isinstance(pictures, ChangedPictures):
        pictures = pictures.unchanged
    has_files = not isinstance(pictures, ArrayPictures)

    def look(index: int) -> tuple[int, int, str] | str:
        try:
            width, height = dataset.image(index).size
            content = pictures.content(int(dataset.rows[index])) if has_files else None
        except ImageError as error:
            return str(error)
        return width, height, "no file" if content is None else file_format(content)

    return looked_at(look, chosen, progress=progress)
