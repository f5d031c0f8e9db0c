"""Checks a set of masked images before training: pixels per class, image sizes, and items that are not usable.

Masks must be decoded for this, so a sample is checked, spread evenly over the set, unless all of it is requested.
"""

import collections
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from radapter.data.images.sampling import looked_at, spread
from radapter.data.masks.label_maps import IGNORE
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.splits import UNREADABLE, Progress
from radapter.errors import DataError, ImageError

SAMPLE = 300
"""Default number of images that are decoded with their masks."""


@final
@dataclass(frozen=True)
class MaskFindings:
    """What was found in a set; all but `images` and `copies` refers to the decoded images."""

    images: int  # in the whole set
    decoded: int  # images that were decoded with their masks, or tried
    unusable: tuple[str, ...]  # errors of damaged images and masks, and of masks of another size
    strange: tuple[str, ...]  # errors of masks with a value that is neither a class nor ignored: a run stops
    pixels: dict[str, int]  # by class name, in the order of the class list
    showing: dict[str, int]  # images that show a class, by its name
    ignored: int  # pixels without a class
    copies: int  # images of the whole set that repeat an earlier one, by content
    widths: tuple[int, int] | None  # (lowest, highest) in pixels; None if none was decoded
    heights: tuple[int, int] | None

    @property
    def total(self) -> int:
        """Decoded pixels, including the ignored ones."""
        return sum(self.pixels.values()) + self.ignored


class _Look(NamedTuple):
    size: tuple[int, int]
    pixels: Tensor  # (C + 1,), int64, ignored pixels first


def look_at_masks(
    dataset: PairedMaskDataset, *, sample: int | None = SAMPLE, progress: Progress | None = None
) -> MaskFindings:
    """Counts what a set holds, decoding an evenly spread `sample` of it, or all if None.

    Images whose bytes could not be read when they were hashed are always tried.
    """
    classes = len(dataset.classnames)

    def look_at(index: int) -> _Look | DataError:
        try:
            image, labels, _ = dataset[index]
        except DataError as error:
            return error
        return _Look(image.size, torch.bincount(labels.flatten() - IGNORE, minlength=classes + 1))

    looks = list(looked_at(look_at, spread(dataset.keys, sample), progress=progress))
    seen = [look for look in looks if isinstance(look, _Look)]
    errors = [look for look in looks if isinstance(look, DataError)]
    counts = torch.stack([look.pixels for look in seen]) if seen else torch.zeros(0, classes + 1).long()
    readable = [key for key in dataset.keys.tolist() if key != UNREADABLE]
    widths, heights = zip(*(look.size for look in seen), strict=True) if seen else ((), ())
    return MaskFindings(
        images=len(dataset),
        decoded=len(looks),
        unusable=tuple(str(error) for error in errors if isinstance(error, ImageError)),
        strange=tuple(str(error) for error in errors if not isinstance(error, ImageError)),
        pixels=dict(zip(dataset.classnames, counts.sum(0)[1:].tolist(), strict=True)),
        showing=dict(zip(dataset.classnames, (counts > 0).sum(0)[1:].tolist(), strict=True)),
        ignored=int(counts[:, 0].sum()),
        copies=sum(count - 1 for count in collections.Counter(readable).values()),
        widths=(min(widths), max(widths)) if seen else None,
        heights=(min(heights), max(heights)) if seen else None,
    )
