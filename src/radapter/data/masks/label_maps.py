"""Label maps: decoded exactly as stored, from files or memory, and the meaning of their values.

A label is a number, not a brightness: nothing is scaled, smoothed or looked up. 8-bit and 16-bit greys give their
values, a palette image its indices, whatever the colours are. Formats that lose the numbers (JPEG, colours, floats)
are refused. Pillow spreads the greys of 2-bit and 4-bit files over [0, 255], which is undone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from radapter.data.images.decoding import MAX_PIXELS, loaded, orientation, readable
from radapter.data.images.sequences import StoredImages
from radapter.errors import ConfigError, ImageError

FORMATS = ("PNG", "TIFF", "BMP", "GIF", "PPM")
"""Formats that keep every number."""
MAX_VALUE = 65535
"""The largest label value that is read."""

IGNORE = -1
"""The value, in the label map of a set, of pixels that have no class."""
VOID = 255
"""The default value, in files, of pixels that have no class."""
UNKNOWN = -2
"""The entry of a value table for values that are neither a class nor ignored."""

_SPREAD = {"L;2": 85, "L;4": 17}  # Pillow's raw modes of narrow greys, and what it multiplies them by
_REMEDY = "Save it as PNG or TIFF, grey or with a palette, each pixel the number of its class."


class StoredMap(NamedTuple):
    """A label map as stored: values (H, W), int32, in [0, MAX_VALUE], and the EXIF orientation not yet undone."""

    values: npt.NDArray[np.int32]
    orientation: int = 1


def decode_label_map(content: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> StoredMap:
    """Decodes the first frame of a file of label values; `where` is its name in messages.

    Raises:
        ImageError: The file is none of FORMATS, damaged or larger than `max_pixels` by its header, or it holds
            colours, floats or values outside [0, MAX_VALUE].
    """
    with readable(content, where=where, max_pixels=max_pixels, what="mask", formats=FORMATS) as image:
        if image.format not in FORMATS:
            raise ImageError(
                f"mask must be a file of {', '.join(FORMATS)}, which keep every number. '{where}' is "
                f"{image.format}. {_REMEDY}"
            )
        spread = _SPREAD.get(_raw_mode(image), 1)
        with loaded(image):
            values = _values(image, where=where) // spread
    if values.size and not 0 <= values.min() <= values.max() <= MAX_VALUE:
        raise ImageError(
            f"label values must be in [0, {MAX_VALUE}]. '{where}' spans [{values.min()}, {values.max()}]. {_REMEDY}"
        )
    return StoredMap(values.astype(np.int32), orientation(content))


class EncodedMaps:
    """Label maps in files, or in the column of a table."""

    def __init__(self, files: StoredImages) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def stored(self, index: int) -> StoredMap:
        """Decodes one map; raises ImageError."""
        content = self._files.content(index)
        return decode_label_map(content, where=self.where(index), max_pixels=self._files.max_pixels)

    def where(self, index: int) -> str:
        """The name of the file."""
        return self._files.where(index)


class ArrayMaps:
    """Label maps in memory: (N, H, W), an integer type, in [0, MAX_VALUE]. `name` is what messages call them."""

    def __init__(self, values: Tensor, *, name: str) -> None:
        if values.ndim != 3 or values.is_floating_point() or values.is_complex():
            raise ValueError(f"values must be integers (N, H, W). Got {values.dtype} {tuple(values.shape)}.")
        low, high = (int(values.min()), int(values.max())) if values.numel() else (0, 0)
        if not 0 <= low <= high <= MAX_VALUE:
            raise ValueError(f"values must be in [0, {MAX_VALUE}]. Got [{low}, {high}].")
        self._values = values.numpy().astype(np.int32)
        self._name = name

    def __len__(self) -> int:
        return len(self._values)

    def stored(self, index: int) -> StoredMap:
        """One map."""
        return StoredMap(self._values[index])

    def where(self, index: int) -> str:
        """The name and the index."""
        return f"{self._name} {index}"


Ignored = int | Sequence[int] | None
LabelMaps = EncodedMaps | ArrayMaps
"""Label maps that are decoded on request."""


def listed(ignore: Ignored) -> tuple[int, ...]:
    """The ignored values as a tuple."""
    if ignore is None:
        return ()
    return (ignore,) if isinstance(ignore, int) else tuple(ignore)


def value_table(
    classes: int, ignore: Ignored, reduce_zero_label: bool, values: Mapping[int, int] | None
) -> npt.NDArray[np.int64]:
    """The class index, IGNORE or UNKNOWN for each value of a file, (MAX_VALUE + 1,).

    The arguments are those of `PairedMaskDataset`; `classes` is C. Raises ConfigError if one is out of range or
    contradicts another.
    """
    ignored = listed(ignore)
    if values is not None and reduce_zero_label:
        raise ConfigError("values gives the class of every value, 0 too. Leave reduce_zero_label out.")
    first = 1 if reduce_zero_label else 0
    meaning = values if values is not None else {first + index: index for index in range(classes)}
    for value in (*meaning, *ignored):
        if not 0 <= value <= MAX_VALUE:
            raise ConfigError(f"label values must be in [0, {MAX_VALUE}]. Got {value}.")
    for index in meaning.values():
        if not 0 <= index < classes:
            raise ConfigError(f"values must name classes in [0, {classes - 1}]. Got {index}.")
    both = sorted({*ignored} & meaning.keys())
    if both:
        raise ConfigError(
            f"an ignored value must be no class. Got ignore {both[0]}, which is class {meaning[both[0]]} of the "
            f"{classes}. Give another value, or leave the class out."
        )
    table = np.full(MAX_VALUE + 1, UNKNOWN, dtype=np.int64)
    table[list(meaning)] = list(meaning.values())
    table[[*ignored, *([0] if reduce_zero_label else [])]] = IGNORE
    return table


def _raw_mode(image: Image.Image) -> str:
    """The mode of the pixels in the file, before Pillow widens them."""
    for tile in getattr(image, "tile", ()):
        for mode in tile.args if isinstance(tile.args, tuple) else (tile.args,):
            if mode in _SPREAD:
                return str(mode)
    return image.mode


def _values(image: Image.Image, *, where: str) -> npt.NDArray[Any]:
    if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int64)
    if image.mode == "RGB":
        channels = np.asarray(image)
        # Some programs write a grey as three equal channels; the numbers are not lost.
        if (channels == channels[..., :1]).all():
            return channels[..., 0].astype(np.int64)
    raise ImageError(f"mask must hold one number per pixel. '{where}' has mode {image.mode}. {_REMEDY}")
