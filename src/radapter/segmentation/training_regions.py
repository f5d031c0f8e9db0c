"""Regions with a noun each as a training set: cut out of masked images, or read from the output of `radapter mine`.

As in evaluation (crops.py), a region is stretched from its box to the tower's square. This happens before it is
augmented: the augmentation's nearly square crop would show only a fragment of a thin region.
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
        """Centres an RGBA region in its transparent frame."""
        width, height = (max(1, round(side * self.expand)) for side in cutout.size)
        if self.square:
            width = height = max(width, height)
        canvas = Image.new("RGBA", (width, height))
        canvas.paste(cutout, ((width - cutout.width) // 2, (height - cutout.height) // 2))
        return canvas


TIGHT = Frame()


class RegionSet(ImageSet, Protocol):
    """N regions with a noun each, such as `MinedRegions`.

    keys: (N,), int64; in `MaskRegions` those of the images, so that regions of one image share theirs. groups: (N,),
    int64, the image that each was cut from.
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
        min_pixels: Smaller regions are skipped.

    Raises:
        DataError: No region is left.
        ImageError: An image or its mask cannot be decoded.
    """

    def __init__(self, dataset: PairedMaskDataset, *, min_pixels: int = 16) -> None:
        self.name = dataset.name
        self.nouns = dataset.classnames
        self._dataset = dataset
        found: list[tuple[int, int]] = []
        for index in range(len(dataset)):
            labels = dataset[index].labels
            classes, pixels = torch.unique(labels[labels != IGNORE], return_counts=True)
            found += [(index, label) for label in classes[pixels >= min_pixels].tolist()]
        if not found:
            raise DataError(
                f"a training set must hold a region. '{self.name}' has none of {min_pixels} pixels or more."
            )
        self.groups, self.labels = torch.tensor(found).unbind(1)
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
        return cut_out(image, labels == self.labels[index])

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
        frame: Of a region before it is stretched.
        masks: Whether images are RGBA, their alpha the mask, and not filled, for a `PromptedEncoder`.
        without: Nouns whose regions are skipped; raises DataError if no other is left.
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
        self._regions, self._size, self._fill, self._frame, self._masks = regions, size, fill, frame, masks
        kept = {label for label, noun in enumerate(regions.nouns) if noun not in without}
        self._rows = [row for row, label in enumerate(regions.labels.tolist()) if label in kept]
        if not self._rows:
            raise DataError(
                f"a training set must hold a region. None of the {len(regions)} in '{regions.name}' is left without "
                f"{', '.join(sorted(without))}."
            )
        self.name = regions.name
        self.nouns = regions.nouns
        self.labels = regions.labels[self._rows]
        # Loaders keep and augment images by key: regions of one image need different ones.
        pairs = zip(regions.keys[self._rows].tolist(), self.labels.tolist(), strict=True)
        self.keys = torch.tensor([key_of(f"{key} {label}".encode()) for key, label in pairs])
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


def cut_out(image: Image.Image, mask: Tensor) -> Image.Image:
    """The pixels of a mask (H, W), bool, in their tight box: RGBA, its alpha the mask."""
    left, top, right, bottom = tight_boxes(mask[None])[0].tolist()
    region = image.convert("RGB").crop((left, top, right, bottom))
    region.putalpha(Image.fromarray(mask[top:bottom, left:right].numpy().astype(np.uint8) * 255))
    return region


def on_colour(cutout: Image.Image, colour: Colour) -> Image.Image:
    """Puts an RGBA region on a background of one colour: RGB."""
    red, green, blue = (round(255 * value) for value in colour)
    canvas = Image.new("RGBA", cutout.size, (red, green, blue, 255))
    return Image.alpha_composite(canvas, cutout).convert("RGB")
