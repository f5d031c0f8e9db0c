"""The images of a data set, wherever they are stored: one small protocol and its implementations.

An implementation decodes one image at a time, and gives the bytes that identify it and its name in messages. It
holds no labels.
"""

import bisect
import io
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from radapter.data.images.decoding import MAX_PIXELS, decode
from radapter.data.images.image_files import place_inside
from radapter.errors import DataError, ImageError
from radapter.given_files import IMAGE_FILE, read_bytes


class Images(Protocol):
    """A sequence of images that are decoded on request."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """Decodes one image to RGB; raises ImageError."""

    def content(self, index: int) -> bytes:
        """The bytes that identify an image; raises ImageError if they cannot be read."""

    def encoded(self, index: int) -> bytes:
        """An image file that decodes to this image, the stored one if there is one; raises ImageError."""

    def where(self, index: int) -> str:
        """The name of an image in messages."""


class StoredImages(Images):
    """Image files, whose bytes are their content; a larger image than `max_pixels` is refused from its header."""

    max_pixels: int

    def image(self, index: int) -> Image.Image:
        """Decodes one image to RGB; raises ImageError."""
        return decode(self.content(index), where=self.where(index), max_pixels=self.max_pixels)

    def encoded(self, index: int) -> bytes:
        """The file's bytes; raises ImageError."""
        return self.content(index)


class FileImages(StoredImages):
    """Image files on disk, one path for each image."""

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, max_pixels: int = MAX_PIXELS) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Image.Image:
        """Decodes one file to RGB; raises ImageError."""
        return decode(self.paths[index], where=self.paths[index], max_pixels=self.max_pixels)

    def content(self, index: int) -> bytes:
        """The file's bytes; raises ImageError if it cannot be read."""
        path = self.paths[index]
        try:
            return read_bytes(path, limit=IMAGE_FILE)
        except OSError as error:
            hint = " Write paths with '/', not with '\\'." if "\\" in path else ""
            raise ImageError(f"image file must be readable. '{path}': {error.strerror}.{hint}") from error

    def where(self, index: int) -> str:
        """The file's path."""
        return self.paths[index]


class ColumnImages(StoredImages):
    """The image column of a table: each entry is a file's bytes, or its path, or a dict of `bytes` and `path`.

    Args:
        table: Rows as mappings, such as a Hugging Face data set whose image feature has `decode=False`.
        name: The table's name in messages.
        folder: Where relative paths in the column start.
        roots: Folders, without links, that must contain every path in the column; None for `folder`.
        max_pixels: Larger images are refused from their header.
    """

    def __init__(
        self,
        table: Sequence[Mapping[str, Any]],
        column: str,
        *,
        name: str,
        folder: Path,
        roots: Sequence[str] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._table, self._column, self._name, self._folder = table, column, name, folder
        self._roots = (os.path.realpath(folder),) if roots is None else tuple(roots)
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self._table)

    def content(self, index: int) -> bytes:
        """The stored bytes, or those of the file that the entry names.

        Raises:
            ImageError: They cannot be read.
            DataError: The file is outside the roots.
        """
        entry = self._table[index][self._column]
        if isinstance(entry, dict):
            entry = entry.get("bytes") or entry.get("path")
        if isinstance(entry, bytes) and entry:
            return entry
        if not isinstance(entry, str) or not entry:
            raise ImageError(f"image must be bytes or a path. {self.where(index)} is empty. Remove the row.")
        place = place_inside(entry, self._folder, self._roots)
        if place is None:
            raise DataError(
                f"paths must stay inside the folder of their table, '{self._folder}'. {self.where(index)} names "
                f"{entry!r}. Move the images there, store their bytes, or list them in a CSV file, which may hold "
                "absolute paths."
            )
        try:
            return read_bytes(place, limit=IMAGE_FILE)
        except OSError as error:
            raise ImageError(
                f"image file must be readable. {self.where(index)} names '{entry}': {error.strerror}."
            ) from error

    def where(self, index: int) -> str:
        """The table and the row, counted from 0."""
        return f"{self._name} row {index}"


class ArrayImages(Images):
    """Decoded images in memory: (N, 3, H, W), uint8. `name` is what messages call them."""

    def __init__(self, pixels: Tensor, *, name: str) -> None:
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"pixels must be uint8 (N, 3, H, W). Got {pixels.dtype} {tuple(pixels.shape)}.")
        self._pixels = pixels.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3), as PIL reads
        self._name = name

    def __len__(self) -> int:
        return len(self._pixels)

    def image(self, index: int) -> Image.Image:
        """One image as RGB."""
        return Image.fromarray(self._pixels[index])

    def content(self, index: int) -> bytes:
        """The pixels, row by row."""
        return bytes(self._pixels[index])

    def encoded(self, index: int) -> bytes:
        """The image as PNG."""
        return png(self.image(index))

    def where(self, index: int) -> str:
        """The name and the index."""
        return f"{self._name} {index}"


class _View(Images):
    """Images of other sequences; `_at` maps an index to one of them and the index there."""

    def _at(self, index: int) -> tuple[Images, int]:
        raise NotImplementedError

    def image(self, index: int) -> Image.Image:
        images, place = self._at(index)
        return images.image(place)

    def content(self, index: int) -> bytes:
        images, place = self._at(index)
        return images.content(place)

    def encoded(self, index: int) -> bytes:
        images, place = self._at(index)
        return images.encoded(place)

    def where(self, index: int) -> str:
        images, place = self._at(index)
        return images.where(place)


class ChangedImages(_View):
    """Images that `change`, a pure function of the RGB image and its index, alters after decoding.

    Their content stays that of the unchanged images.
    """

    def __init__(self, images: Images, change: Callable[[Image.Image, int], Image.Image]) -> None:
        self.unchanged, self._change = images, change

    def __len__(self) -> int:
        return len(self.unchanged)

    def _at(self, index: int) -> tuple[Images, int]:
        return self.unchanged, index

    def image(self, index: int) -> Image.Image:
        """Decodes one image and changes it; raises ImageError."""
        return self._change(self.unchanged.image(index), index)

    def encoded(self, index: int) -> bytes:
        """The changed image as PNG; raises ImageError."""
        return png(self.image(index))


class ChosenImages(_View):
    """The images at `rows`, (N,) int64, of another sequence, in that order."""

    def __init__(self, images: Images, rows: Tensor) -> None:
        self._images, self._rows = images, rows.tolist()

    def __len__(self) -> int:
        return len(self._rows)

    def _at(self, index: int) -> tuple[Images, int]:
        return self._images, self._rows[index]


class JoinedImages(_View):
    """The images of several sequences, one after the other."""

    def __init__(self, parts: Sequence[Images]) -> None:
        self._parts = list(parts)
        self._ends = list(itertools.accumulate(map(len, self._parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _at(self, index: int) -> tuple[Images, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"index must be in [0, {len(self)}). Got {index}.")
        number = bisect.bisect_right(self._ends, index)
        return self._parts[number], index - (self._ends[number] - len(self._parts[number]))


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
