"""A segmentation data set: pictures, and for each a map of the class of every pixel.

Whatever numbers the files use, an item's map holds class indices, and IGNORE where a pixel counts for nothing: it
is below every index, so that no number of classes collides with it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from radapter.data.labelled.labels import read_classnames
from radapter.data.masks.label_maps import ChosenMaps, EncodedMaps, LabelMaps
from radapter.data.masks.label_values import IGNORE, UNKNOWN, VOID, listed, value_table
from radapter.data.masks.pairing import paired_files
from radapter.data.pictures.decoding import MAX_PIXELS, check_max_pixels, orientation
from radapter.data.pictures.pictures import ChosenPictures, FilePictures, Pictures
from radapter.data.splits import Progress, content_keys, fingerprint
from radapter.errors import ConfigError, DataError, ImageError, did_you_mean
from radapter.zeroshot import spoken

__all__ = ["EXIF", "IGNORE", "MaskedImage", "PairedMaskDataset"]

EXIF = ("upright", "stored")
"""How masks lie beside an image that a camera turned."""


class MaskedImage(NamedTuple):
    """An item: an upright RGB picture of W x H, its label map (H, W) int64 of class indices and IGNORE, its id."""

    image: Image.Image
    labels: Tensor
    id: str


@final
class PairedMaskDataset:
    """N pictures, each with a label map of its size; both are decoded when asked for.

    Args:
        images: a folder of images, or a holder of pictures.
        masks: a folder of label maps whose names are those of the images, but for the suffix; or a holder of maps,
            one a picture.
        classes: C names, a list or a text file with one a line; `classnames` has them with spaces for underscores.
            Class 0 is value 0 of the files, or value 1 with `reduce_zero_label`, or as `values` says.
        ignore: the value, or values, that files give pixels of no class; None where they have none.
        reduce_zero_label: value 0 is of no class either, and value v is class v - 1 (ADE20K).
        values: value of the files -> class index, where they do not count from 0 or 1 (Cityscapes).
        exif: "upright" where masks were drawn over the picture as it is seen (a mask with an EXIF orientation of its
            own is turned by it); "stored" where they lie as the camera stored the pixels, so that the picture's
            orientation turns its mask too.
        ids: N names, no two alike; None takes the files' (their path below `images`, without suffix) or "0", "1" ...
        keys: (N,), int64, content hashes of the pictures; None hashes them when they are asked for.
        captions: N, what the source says of each picture; None where it says nothing.
        name: what tables and messages call the set; None takes that of the folder.
        max_pixels: larger pictures and maps in folders are refused from their header.

    Raises:
        ConfigError: an option is out of range or contradicts another.
        DataError: a folder is missing or empty, an image has no mask or a mask no image, the class list is empty or
            repeats a name, or two ids are alike.
    """

    def __init__(
        self,
        images: str | os.PathLike[str] | Pictures,
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
        self._reading: dict[str, Any] = {
            "classes": self.given_names,
            "ignore": ignore,
            "reduce_zero_label": reduce_zero_label,
            "values": values,
            "exif": exif,
        }
        if exif not in EXIF:
            raise ConfigError(
                f"exif must be one of {', '.join(EXIF)}. Got {exif!r}.{did_you_mean(exif, EXIF)}"
            )
        if isinstance(images, (str, os.PathLike)) and isinstance(masks, (str, os.PathLike)):
            check_max_pixels(max_pixels)
            name = Path(images).name if name is None else name
            pairs = paired_files(Path(images), Path(masks), ids=ids)
            ids = [pair.id for pair in pairs]
            images = FilePictures([pair.image for pair in pairs], max_pixels=max_pixels)
            masks = EncodedMaps(FilePictures([pair.mask for pair in pairs]), max_pixels=max_pixels)
        if isinstance(images, (str, os.PathLike)) or isinstance(masks, (str, os.PathLike)):
            raise ConfigError("images and masks must both be folders, or both holders. Got one of each.")
        self.name = "masks" if name is None else name
        self.pictures, self.maps = images, masks
        self.captions = None if captions is None else tuple(captions)
        self.ids = tuple(map(str, range(len(images))) if ids is None else ids)
        if not len(images) == len(masks) == len(self.ids):
            raise DataError(
                f"every image must have a mask and an id. '{self.name}' has {len(images)} images, {len(masks)} "
                f"masks and {len(self.ids)} ids."
            )
        if self.captions is not None and len(self.captions) != len(images):
            raise DataError(
                f"captions must be one an image. '{self.name}' has {len(images)} images and {len(self.captions)}."
            )
        if len(images) == 0:
            raise DataError(f"data set must hold an image. '{self.name}' holds none.")
        if len(set(self.ids)) != len(self.ids):
            raise DataError(f"ids must differ. '{self.name}' repeats some of its {len(self.ids)}.")
        self._keys = keys

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[MaskedImage]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> MaskedImage:
        """Decodes the picture and the map at `index`, in [-N, N).

        Raises:
            IndexError: there is no such item.
            ImageError: one of the two cannot be decoded, or their sizes differ.
            DataError: the map holds a value that is neither a class nor ignored.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be in [{-len(self)}, {len(self)}). Got {index}.")
        index %= len(self)
        image = self.image(index)
        return MaskedImage(image, self._labels(index, image.size), self.ids[index])

    @property
    def keys(self) -> Tensor:
        """(N,), int64, the first 8 bytes of the SHA-256 of each picture's content; UNREADABLE where it has none."""
        return self.hashed()

    def hashed(self, progress: Progress | None = None) -> Tensor:
        """`keys`; the first call tells (done, all) to `progress` while contents are hashed."""
        if self._keys is None:
            self._keys = content_keys(self.pictures, torch.arange(len(self)), progress=progress)
        return self._keys

    @property
    def fingerprint(self) -> str:
        """SHA-256 of pictures and class names: equal for equal sets."""
        return fingerprint(self.keys, *self.classnames)

    def image(self, index: int) -> Image.Image:
        """Decodes the picture at `index` to upright RGB; raises ImageError."""
        return self.pictures.image(index)

    def where(self, index: int) -> str:
        """What messages call the picture at `index`."""
        return self.pictures.where(index)

    def subset(self, indices: Sequence[int] | Tensor, *, name: str | None = None) -> "PairedMaskDataset":
        """The items at `indices`, in that order, with the same classes.

        Args:
            indices: (M,), int in [0, N) without repetition, or (N,), bool.
            name: the new set's name; this one's when None.

        Raises:
            DataError: `indices` is empty or repeats one.
        """
        chosen = torch.as_tensor(indices)
        rows = chosen.nonzero().flatten() if chosen.dtype == torch.bool else chosen.long()
        return PairedMaskDataset(
            ChosenPictures(self.pictures, rows),
            ChosenMaps(self.maps, rows),
            **self._reading,
            ids=[self.ids[row] for row in rows.tolist()],
            keys=None if self._keys is None else self._keys[rows],
            captions=None if self.captions is None else [self.captions[row] for row in rows.tolist()],
            name=self.name if name is None else name,
        )

    def with_pictures(self, pictures: Pictures) -> "PairedMaskDataset":
        """The same set with other pictures of the same sizes, such as corrupted ones; its keys stay."""
        return PairedMaskDataset(
            pictures,
            self.maps,
            **self._reading,
            ids=self.ids,
            keys=self.keys,
            captions=self.captions,
            name=self.name,
        )

    def _labels(self, index: int, size: tuple[int, int]) -> Tensor:
        values, turn = self.maps.stored(index)
        if self._reading["exif"] == "stored":
            turn = orientation(self.pictures.content(index))
        values = _upright(values, turn)
        if values.shape != size[::-1]:
            raise ImageError(self._misfit(index, size, values))
        labels = self._table[values]
        strange = labels == UNKNOWN
        if strange.any():
            raise DataError(self._strangers(index, values[strange]))
        return torch.from_numpy(labels)

    def _misfit(self, index: int, size: tuple[int, int], values: npt.NDArray[np.int32]) -> str:
        turned = self._reading["exif"] == "upright" and values.shape == size
        sideways = turned and orientation(self.pictures.content(index)) > 4
        remedy = (
            "It has that of the picture as its camera stored it, on its side: give exif='stored'."
            if sideways
            else "Replace one of the two; a mask is never resized, which would move its edges."
        )
        return (
            f"mask must have the size of its image. The mask '{self.maps.where(index)}' has {values.shape[1]} x "
            f"{values.shape[0]} pixels, the image '{self.where(index)}' {size[0]} x {size[1]}. {remedy}"
        )

    def _strangers(self, index: int, values: npt.NDArray[np.int32]) -> str:
        found, counts = np.unique(values, return_counts=True)
        ignored = listed(self._reading["ignore"])
        shown = ", ".join(
            f"{value} ({count:,} pixels)" for value, count in zip(found[:3], counts[:3], strict=True)
        )
        return (
            f"label values must be classes or ignored. '{self.maps.where(index)}' also has {len(found)}: {shown}"
            f"{' ...' if len(found) > 3 else ''}. '{self.name}' has {len(self.classnames)} classes"
            f"{', from value 1 on' if self._reading['reduce_zero_label'] else ''} and ignores "
            f"{', '.join(map(str, ignored)) or 'no value'}. Complete the class list, or give ignore."
        )


def _upright(values: npt.NDArray[np.int32], turn: int) -> npt.NDArray[np.int32]:
    """A map with an EXIF orientation undone: what `decode` does to pictures."""
    if turn > 4:
        values = values.T  # 5 to 8 lie on their side
    if turn in (2, 3, 6, 7):
        values = values[:, ::-1]
    if turn in (3, 4, 7, 8):
        values = values[::-1]
    return values
