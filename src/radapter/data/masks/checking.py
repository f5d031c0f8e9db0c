"""What a set of masked pictures holds, before anything is trained on it: pixels per class, sizes, what does not fit.

Masks must be decoded for that, so that it is found on a sample that is spread evenly over the set, unless all of it
is asked for.
"""

import collections
import functools
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from radapter.data.masks.paired import IGNORE, PairedMaskDataset
from radapter.data.pictures.sampling import looked_at, spread
from radapter.data.splits import UNREADABLE, Progress
from radapter.errors import DataError, ImageError

SAMPLE = 300
"""Pictures that are decoded with their masks where not all are."""


@final
@dataclass(frozen=True)
class MaskFindings:
    """What was found in a set of N masked pictures.

    Attributes:
        images: N.
        decoded: pictures that were decoded with their masks, or tried.
        unusable: what is wrong with each that is damaged, or whose mask has another size.
        strange: what is wrong with each whose mask has a value that is neither a class nor ignored: a run stops.
        pixels: class name -> its pixels among the decoded, in the order of the class list.
        showing: class name -> decoded pictures that show it.
        ignored: pixels among the decoded that have no class.
        copies: pictures that repeat an earlier one, by content, among all.
        widths: (lowest, highest) in pixels among the decoded; None where none was.
        heights: the same.
    """

    images: int
    decoded: int
    unusable: tuple[str, ...]
    strange: tuple[str, ...]
    pixels: dict[str, int]
    showing: dict[str, int]
    ignored: int
    copies: int
    widths: tuple[int, int] | None
    heights: tuple[int, int] | None

    @property
    def total(self) -> int:
        """Decoded pixels, the ignored ones among them."""
        return sum(self.pixels.values()) + self.ignored


class _Look(NamedTuple):
    """pixels: (C + 1,), int64, the ignored ones first."""

    size: tuple[int, int]
    pixels: Tensor


def look_at_masks(
    dataset: PairedMaskDataset, *, sample: int | None = SAMPLE, progress: Progress | None = None
) -> MaskFindings:
    """Counts what a set holds and decodes a sample of it.

    Args:
        dataset: the set; nothing of it is changed.
        sample: how many pictures are decoded, spread evenly; None decodes all. Those whose bytes could not be
            read when they were hashed are always tried.
        progress: told (done, all) while pictures are decoded.
    """
    chosen = spread(dataset.keys, sample)
    looks = list(looked_at(functools.partial(_look_at, dataset), chosen, progress=progress))
    seen = [look for look in looks if isinstance(look, _Look)]
    classes = len(dataset.classnames)
    counts = torch.stack([look.pixels for look in seen]) if seen else torch.zeros(0, classes + 1).long()
    readable = [key for key in dataset.keys.tolist() if key != UNREADABLE]
    widths, heights = zip(*(look.size for look in seen), strict=True) if seen else ((), ())
    return MaskFindings(
        images=len(dataset),
        decoded=len(looks),
        unusable=tuple(str(look) for look in looks if isinstance(look, ImageError)),
        strange=tuple(
            str(look) for look in looks if isinstance(look, DataError) and not isinstance(look, ImageError)
        ),
        pixels=dict(zip(dataset.classnames, counts.sum(0)[1:].tolist(), strict=True)),
        showing=dict(zip(dataset.classnames, (counts > 0).sum(0)[1:].tolist(), strict=True)),
        ignored=int(counts[:, 0].sum()),
        copies=sum(count - 1 for count in collections.Counter(readable).values()),
        widths=(min(widths), max(widths)) if seen else None,
        heights=(min(heights), max(heights)) if seen else None,
    )


def _look_at(dataset: PairedMaskDataset, index: int) -> _Look | DataError:
    """What one picture and its mask hold, or what is wrong with them."""
    try:
        image, labels, _ = dataset[index]
    except DataError as error:
        return error
    return _Look(image.size, torch.bincount(labels.flatten() - IGNORE, minlength=len(dataset.classnames) + 1))
