"""From a file's bytes to a map of label values, exactly as stored, and the holders of such maps.

A label is a number, not a brightness: nothing is scaled, smoothed or looked up. 8-bit and 16-bit greys give their
values, a palette image its indices, whatever the colours are; what has lost its numbers is refused: JPEG, colours,
floats. Pillow spreads the greys of 2-bit and 4-bit files over [0, 255], which is undone.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from radapter.data.pictures.decoding import MAX_PIXELS, check_size, opened, orientation
from radapter.data.pictures.pictures import Pictures
from radapter.data.pictures.pixel_budget import DECODING
from radapter.errors import ImageError

FORMATS = ("PNG", "TIFF", "BMP", "GIF", "PPM")
"""Formats that keep every number."""
MAX_VALUE = 65535
"""The largest label value that is read."""

_SPREAD = {"L;2": 85, "L;4": 17}  # Pillow's raw modes of narrow greys, and what it multiplies them by
_REMEDY = "Save it as PNG or TIFF, grey or with a palette, each pixel the number of its class."


class StoredMap(NamedTuple):
    """A label map as it was stored.

    values: (H, W), int32, in [0, MAX_VALUE]. orientation: EXIF's of the file, 1 (none) to 8, not yet undone.
    """

    values: npt.NDArray[np.int32]
    orientation: int = 1


class LabelMaps(Protocol):
    """A sequence of label maps that are decoded when asked for."""

    def __len__(self) -> int: ...

    def stored(self, index: int) -> StoredMap:
        """Decodes one map; raises ImageError."""
        ...

    def where(self, index: int) -> str:
        """What messages call this map."""
        ...


def decode_label_map(content: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> StoredMap:
    """Decodes the first frame of a file of label values.

    Args:
        content: the file's bytes.
        where: what a message calls it.
        max_pixels: a map with more, by its header, is refused undecoded.

    Raises:
        ImageError: the file is none of FORMATS, damaged, too large, or holds colours, floats or values outside
            [0, MAX_VALUE].
    """
    try:
        with opened(content) as image:
            if image.format not in FORMATS:
                raise ImageError(
                    f"mask must be a file of {', '.join(FORMATS)}, which keep every number. '{where}' is "
                    f"{image.format}. {_REMEDY}"
                )
            check_size(image.size, where=where, max_pixels=max_pixels)
            spread = _SPREAD.get(_raw_mode(image), 1)
            with DECODING.held(image.width * image.height):
                image.load()
                values = _values(image, where=where) // spread
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"mask must have at most {max_pixels} pixels. '{where}': {error}") from error
    except Exception as error:  # decoders raise anything at all on corrupt bytes
        raise ImageError(
            f"mask must be a whole file of {', '.join(FORMATS)}. '{where}': {type(error).__name__}: {error}. "
            "Replace it, or remove it with its image."
        ) from error
    if values.size and not 0 <= values.min() <= values.max() <= MAX_VALUE:
        raise ImageError(
            f"label values must lie in [0, {MAX_VALUE}]. '{where}' spans [{values.min()}, {values.max()}]. {_REMEDY}"
        )
    return StoredMap(values.astype(np.int32), orientation(content))


class EncodedMaps:
    """Label maps in files, or in the column of a table.

    Args:
        files: whose contents are the maps; `FilePictures` and `ColumnPictures` are such holders.
        max_pixels: larger maps are refused from their header.
    """

    def __init__(self, files: Pictures, *, max_pixels: int = MAX_PIXELS) -> None:
        self._files = files
        self._max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self._files)

    def stored(self, index: int) -> StoredMap:
        """Decodes one map; raises ImageError."""
        content = self._files.content(index)
        return decode_label_map(content, where=self.where(index), max_pixels=self._max_pixels)

    def where(self, index: int) -> str:
        """What the holder calls the file."""
        return self._files.where(index)


class ArrayMaps:
    """Label maps in memory.

    Args:
        values: (N, H, W), an integer type, in [0, MAX_VALUE].
        name: what messages call them.
    """

    def __init__(self, values: Tensor, *, name: str) -> None:
        if values.ndim != 3 or values.is_floating_point() or values.is_complex():
            raise ValueError(f"values must be integers (N, H, W). Got {values.dtype} {tuple(values.shape)}.")
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) <= MAX_VALUE:
            raise ValueError(
                f"values must lie in [0, {MAX_VALUE}]. Got [{int(values.min())}, {int(values.max())}]."
            )
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


class ChosenMaps:
    """Some maps of another holder, in another order.

    Args:
        maps: the others.
        rows: (N,), int64, into them.
    """

    def __init__(self, maps: LabelMaps, rows: Tensor) -> None:
        self._maps = maps
        self._rows = rows.tolist()

    def __len__(self) -> int:
        return len(self._rows)

    def stored(self, index: int) -> StoredMap:
        """Decodes one map; raises ImageError."""
        return self._maps.stored(self._rows[index])

    def where(self, index: int) -> str:
        """What its holder calls the map."""
        return self._maps.where(self._rows[index])


def _raw_mode(image: Image.Image) -> str:
    """The mode of the pixels in the file, before Pillow widens them."""
    for tile in getattr(image, "tile", ()):
        for told in tile.args if isinstance(tile.args, tuple) else (tile.args,):
            if told in _SPREAD:
                return str(told)
    return image.mode


def _values(image: Image.Image, *, where: str) -> npt.NDArray[Any]:
    if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int64)
    if image.mode == "RGB":
        channels = np.asarray(image)
        # Some programs write three equal channels where a grey was meant; those numbers are not lost.
        if (channels == channels[..., :1]).all():
            return channels[..., 0].astype(np.int64)
    raise ImageError(
        f"mask must hold one number a pixel. '{where}' has pixels of mode {image.mode}, no class numbers. {_REMEDY}"
    )
