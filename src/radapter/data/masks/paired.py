"""A segmentation data set: images, and for each a map of the class of every pixel.

Whatever numbers the files use, the map of an item holds class indices, and IGNORE for pixels that do not count.
IGNORE is below every index, so that it never collides with a class.
"""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from radapter.data.images.decoding import MAX_PIXELS, check_max_pixels, orientation
from radapter.data.images.sequences import Images
from radapter.data.labelled.labels import read_classnames
from radapter.data.masks.label_maps import IGNORE, UNKNOWN, VOID, LabelMaps, listed, value_table
from radapter.data.masks.pairing import paired_files
from radapter.data.splits import Progress, content_keys, fingerprint
from radapter.errors import ConfigError, DataError, ImageError, did_you_mean
from radapter.zeroshot import spoken

__all__ = ["IGNORE", "MaskedImage", "PairedMaskDataset"]

_EXIF = ("upright", "stored")


class MaskedImage(NamedTuple):
    """An upright RGB image of W x H, its label map (H, W), int64, of class indices and IGNORE, and its id."""

    image: Image.Image
    labels: Tensor
    id: str


@final
class PairedMaskDataset:
    """N images, each with a label map of its size; both are decoded on request.

    Args:
        images: A folder of images, or a sequence of images.
        masks: A folder of label maps named as the images but for the suffix, or a sequence of maps.
        classes: C names, a list or a text file with one per line; `classnames` has spaces for underscores. Class 0
            is value 0 of the files, or value 1 with `reduce_zero_label`, or as in `values`.
        ignore: The value, or values, of pixels without a class in the files; None if there are none.
        reduce_zero_label: Whether value 0 has no class either, and value v is class v - 1 (ADE20K).
        values: Value of the files -> class index, if they do not count from 0 or 1 (Cityscapes).
        exif: "upright" if masks were drawn over the image as it is displayed (a mask with its own EXIF orientation
            is turned by it); "stored" if they follow the pixels as the camera stored them, so that the orientation
            of the image turns its mask too.
        ids: N distinct names; None takes the paths of the files below `images`, without suffix, or "0", "1", ...
        keys: Content hashes of the images, (N,), int64; None computes them on request.
        captions: N texts of the source, if it has any.
        name: The set's name in tables and messages; None takes that of the folder.
        max_pixels: Larger images and maps in folders are refused from their header.

    Raises:
        ConfigError: An option is out of range or contradicts another.
        DataError: A folder is missing or empty, an image has no mask or a mask no image, the class list is empty or
            repeats a name, or two ids are equal.
    """

    def __init__(
        self,
        images: str | os.PathLike[str] | Images,
        masks: str | os.PathLike[str] | LabelMaps,
        classes: Sequence[str] | str | os.PathLike[str],
        ignore: int | Sequence[int] | None = VOID,
        reduce_zero_label: bool = False,
        *,
        values: Mapping[int, int] | None = None,
        exif: Literal["upright", "stored"] = "upright",
        ids: Sequence[str] | None = None,
        keys: Tensor | None = None,
        captions: Sequence[str] | None = None,
        name: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.given_names = read_classnames(classes)
        self.classnames = tuple(map(spoken, self.given_names))
        self._table = value_table(len(self.classnames), ignore, reduce_zero_label, values)
        self._ignored, self._reduce_zero_label, self._exif = listed(ignore), reduce_zero_label, exif
        if exif not in _EXIF:
            raise ConfigError(
                f"exif must be one of upright, stored. Got {exif!r}.{did_you_mean(exif, _EXIF)}"
            )
        if isinstance(images, (str, os.PathLike)) and isinstance(masks, (str, os.PathLike)):
            check_max_pixels(max_pixels)
            name = Path(images).name if name is None else name
            images, masks, ids = paired_files(Path(images), Path(masks), ids=ids, max_pixels=max_pixels)
        if isinstance(images, (str, os.PathLike)) or isinstance(masks, (str, os.PathLike)):
            raise ConfigError("images and masks must both be folders, or both sequences. Got one of each.")
        self.name = "masks" if name is None else name
        self.images, self.maps = images, masks
        self.rows = torch.arange(len(images))  # the items of a subset, among all
        self.captions = None if captions is None else tuple(captions)
        self.ids = tuple(map(str, range(len(images))) if ids is None else ids)
        self._keys = keys
        self._check()

    def _check(self) -> None:
        total, captions = len(self.rows), self.captions
        if len(self.images) != len(self.maps) or total != len(self.ids):
            raise DataError(
                f"every image must have a mask and an id. '{self.name}' has {len(self.images)} images, "
                f"{len(self.maps)} masks and {len(self.ids)} ids."
            )
        if captions is not None and len(captions) != total:
            raise DataError(
                f"every image must have a caption. '{self.name}' has {total} images and {len(captions)} captions."
            )
        if total == 0:
            raise DataError(f"data set must hold an image. '{self.name}' holds none.")
        if len(set(self.ids)) != total:
            raise DataError(f"ids must differ. '{self.name}' repeats some of its {total}.")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[MaskedImage]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> MaskedImage:
        """Decodes the image and the map at `index`, in [-N, N).

        Raises:
            IndexError: There is no such item.
            ImageError: One of the two cannot be decoded, or their sizes differ.
            DataError: The map holds a value that is neither a class nor ignored.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be in [{-len(self)}, {len(self)}). Got {index}.")
        index %= len(self)
        image = self.image(index)
        return MaskedImage(image, self._labels(index, image.size), self.ids[index])

    @property
    def keys(self) -> Tensor:
        """Content hashes of the images, as from `content_keys`, (N,), int64."""
        return self.hashed()

    def hashed(self, progress: Progress | None = None) -> Tensor:
        """`keys`; the first call computes them and calls `progress` with (done, all)."""
        if self._keys is None:
            self._keys = content_keys(self.images, self.rows, progress=progress)
        return self._keys

    @property
    def fingerprint(self) -> str:
        """SHA-256 of images and class names: equal for equal sets."""
        return fingerprint(self.keys, *self.classnames)

    def image(self, index: int) -> Image.Image:
        """Decodes the image at `index` to upright RGB; raises ImageError."""
        return self.images.image(int(self.rows[index]))

    def where(self, index: int) -> str:
        """The name of the image at `index` in messages."""
        return self.images.where(int(self.rows[index]))

    def subset(self, indices: Sequence[int] | Tensor, *, name: str | None = None) -> "PairedMaskDataset":
        """The items at `indices`, (M,) int in [0, N) or (N,) bool, in that order.

        Raises:
            DataError: `indices` is empty or repeats an index.
        """
        chosen = torch.as_tensor(indices)
        rows = chosen.nonzero().flatten() if chosen.dtype == torch.bool else chosen.long()
        return self._changed(
            rows=self.rows[rows],
            ids=tuple(self.ids[row] for row in rows.tolist()),
            captions=None if self.captions is None else tuple(self.captions[row] for row in rows.tolist()),
            name=self.name if name is None else name,
            _keys=None if self._keys is None else self._keys[rows],
        )

    def with_images(self, images: Images) -> "PairedMaskDataset":
        """The same set with other images of the same sizes, such as corrupted ones; its keys stay."""
        return self._changed(images=images, _keys=self.keys)

    def _changed(self, **attributes: Any) -> "PairedMaskDataset":
        other = copy.copy(self)
        vars(other).update(attributes)
        other._check()
        return other

    def _labels(self, index: int, size: tuple[int, int]) -> Tensor:
        row = int(self.rows[index])
        values, turn = self.maps.stored(row)
        if self._exif == "stored":
            turn = orientation(self.images.content(row))
        values = _upright(values, turn)
        if values.shape != size[::-1]:
            raise ImageError(self._misfit(row, size, values))
        labels = self._table[values]
        strange = labels == UNKNOWN
        if strange.any():
            raise DataError(self._strangers(row, values[strange]))
        return torch.from_numpy(labels)

    def _misfit(self, row: int, size: tuple[int, int], values: npt.NDArray[np.int32]) -> str:
        turned = self._exif == "upright" and values.shape == size
        if turned and orientation(self.images.content(row)) > 4:
            remedy = "It has the size of the image as the camera stored it, on its side: give exif='stored'."
        else:
            remedy = "Replace one of the two; a mask is never resized, which would move its edges."
        return (
            f"mask must have the size of its image. The mask '{self.maps.where(row)}' has {values.shape[1]} x "
            f"{values.shape[0]} pixels, the image '{self.images.where(row)}' {size[0]} x {size[1]}. {remedy}"
        )

    def _strangers(self, row: int, values: npt.NDArray[np.int32]) -> str:
        found, counts = np.unique(values, return_counts=True)
        shown = ", ".join(f"{found[n]} ({counts[n]:,} pixels)" for n in range(min(len(found), 3)))
        return (
            f"label values must be classes or ignored. '{self.maps.where(row)}' also has {len(found)}: {shown}"
            f"{' ...' if len(found) > 3 else ''}. '{self.name}' has {len(self.classnames)} classes"
            f"{', from value 1 on' if self._reduce_zero_label else ''} and ignores "
            f"{', '.join(map(str, self._ignored)) or 'no value'}. Complete the class list, or give ignore."
        )


def _upright(values: npt.NDArray[np.int32], turn: int) -> npt.NDArray[np.int32]:
    """A map with its EXIF orientation undone, as `decode` does for images."""
    if turn > 4:
        values = values.T  # 5 to 8 lie on their side
    if turn in (2, 3, 6, 7):
        values = values[:, ::-1]
    if turn in (3, 4, 7, 8):
        values = values[::-1]
    return values
