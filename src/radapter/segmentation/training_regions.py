"""Regions with a noun each as a training set: cut out of masked images, or read from the output of `radapter mine`.

An evaluated region is stretched from its box to the tower's square (crops.py). A trained one is too, before it is
augmented; otherwise a crop that is nearly a square would cut thin regions to pieces.
"""

from collections.abc import Collection
from typing import NamedTuple, Protocol, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from radapter.data import IGNORE, PairedMaskDataset
from radapter.data.loading import ImageSet
from radapter.data.splits import fingerprint, key_of
from radapter.errors import DataError
from radapter.segmentation.crops import Colour, tight_boxes


class Frame(NamedTuple):
    """The margin of fill around a region: `expand` and `square` of `CropStyle`."""

    expand: float = 1.0
    square: bool = False

    def around(self, cutout: Image.Image) -> Image.Image:
        """Centres an RGBA region in its frame, which is transparent."""
        width, height = (max(1, round(side * self.expand)) for side in cutout.size)
        if self.square:
            width = height = max(width, height)
        canvas = Image.new("RGBA", (width, height))
        canvas.paste(cutout, ((width - cutout.width) // 2, (height - cutout.height) // 2))
        return canvas


TIGHT = Frame()
"""A region's own box."""


class RegionSet(ImageSet, Protocol):
    """N regions with a noun each, such as `MinedRegions`.

    nouns: C texts that labels index. keys: (N,), int64; in `MaskRegions` those of the images, so that regions of one
    image share theirs. groups: (N,), int64, the image each was cut from.
    """

    @property
    def nouns(self) -> tuple[str, ...]:
        """The texts that labels index."""

    def cutout(self, index: int) -> Image.Image:
        """The region at `index`, RGBA, its alpha the mask; raises ImageError."""


@final
class MaskRegions:
    """The true regions of masked images, one for each class that an image shows.

    Args:
        dataset: Decoded once here to find the classes, and again whenever a region is read.
        min_pixels: Smaller regions are left out.

    Raises:
        DataError: No region is left.
        ImageError: An image or its mask cannot be decoded.
    """

    def __init__(self, dataset: PairedMaskDataset, *, min_pixels: int = 16) -> None:
        self.name = dataset.name
        self.nouns = dataset.classnames
        self._dataset = dataset
        images: list[int] = []
        classes: list[int] = []
        for index in range(len(dataset)):
            labels = dataset[index].labels
            shown, pixels = torch.unique(labels[labels != IGNORE], return_counts=True)
            kept = shown[pixels >= min_pixels].tolist()
            images += [index] * len(kept)
            classes += kept
        if not images:
            raise DataError(
                f"a training set must hold a region. '{self.name}' has none of {min_pixels} pixels or more."
            )
        self.groups: Tensor = torch.tensor(images)
        self.labels = torch.tensor(classes)
        self.keys = dataset.keys[self.groups]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of images and nouns: equal for equal sets."""
        return fingerprint(self.keys, self.labels, *self.nouns)

    def image(self, index: int) -> Image.Image:
        """The region at `index` on black; raises ImageError."""
        return on_colour(self.cutout(index), (0.0, 0.0, 0.0))

    def cutout(self, index: int) -> Image.Image:
        """The region at `index`, RGBA, its alpha the mask; raises ImageError."""
        image, labels, _ = self._dataset[int(self.groups[index])]
        mask = labels == self.labels[index]
        box = tuple(tight_boxes(mask[None])[0].tolist())
        alpha = Image.fromarray(mask.numpy().astype(np.uint8) * 255)
        region = image.convert("RGB")
        region.putalpha(alpha)
        return region.crop(box)

    def where(self, index: int) -> str:
        """The image and the noun."""
        return f"{self._dataset.where(int(self.groups[index]))} {self.nouns[int(self.labels[index])]}"


@final
class SquareRegions:
    """Regions as a tower sees them in training: the background filled, stretched to a square; an `ImageSet`.

    Its keys identify regions, whatever their image.

    Args:
        regions: With a noun each.
        size: Height and width, in pixels.
        fill: The colour outside a region, in [0, 1].
        frame: The frame of a region before it is stretched.
        masks: Whether pictures are RGBA, their alpha the mask, and not filled, for a `PromptedEncoder`.
        without: Nouns whose regions are left out.

    Raises:
        DataError: No region is left.
    """

    def __init__(
        self,
        regions: RegionSet,
        *,
        size: int,
        fill: Colour,
        frame: Frame = TIGHT,
        masks: bool = False,
        without: Collection[str] = (),
    ) -> None:
        self._regions, self._size, self._fill, self._frame = regions, size, fill, frame
        self._masks = masks
        self._rows = [
            row for row, label in enumerate(regions.labels.tolist()) if regions.nouns[label] not in without
        ]
        if not self._rows:
            raise DataError(
                f"a training set must hold a region. Of the {len(regions)} in '{regions.name}' none is left without "
                f"{', '.join(sorted(without))}."
            )
        self.name = regions.name
        self.nouns = regions.nouns
        self.labels = regions.labels[self._rows]
        # Loaders keep and augment pictures by key: regions of one image must not pass for one another.
        self.keys = torch.tensor(
            [
                key_of(f"{key} {label}".encode())
                for key, label in zip(regions.keys[self._rows].tolist(), self.labels.tolist(), strict=True)
            ]
        )
        self.groups = None if regions.groups is None else regions.groups[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of regions and nouns: equal for equal sets."""
        return fingerprint(self.keys, self.labels, *self.nouns)

    def image(self, index: int) -> Image.Image:
        """The region at `index`, RGB, or RGBA with its mask; raises ImageError."""
        framed = self._frame.around(self._regions.cutout(self._rows[index]))
        shown = framed if self._masks else on_colour(framed, self._fill)
        return shown.resize((self._size, self._size), Image.Resampling.BICUBIC)

    def where(self, index: int) -> str:
        """The set's name for the region."""
        return self._regions.where(self._rows[index])


def on_colour(cutout: Image.Image, colour: Colour) -> Image.Image:
    """Puts an RGBA region on a background of one colour: RGB."""
    red, green, blue = (round(255 * value) for value in colour)
    canvas = Image.new("RGBA", cutout.size, (red, green, blue, 255))
    return Image.alpha_composite(canvas, cutout).convert("RGB")
