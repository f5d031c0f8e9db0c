"""Where a data set's pixels come from: one small protocol, and the holders of it.

A holder names its pictures for messages, gives the bytes that a picture is known by (its content), and decodes
one picture at a time. It holds no labels.
"""

import bisect
import io
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from radapter.data.pictures.decoding import MAX_PIXELS, decode
from radapter.data.pictures.image_files import place_inside
from radapter.errors import DataError, ImageError
from radapter.given_files import IMAGE_FILE, read_bytes


class Pictures(Protocol):
    """A sequence of pictures that are decoded when asked for."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """Decodes one picture to RGB; raises ImageError."""
        ...

    def content(self, index: int) -> bytes:
        """The bytes that say which picture this is; raises ImageError where they cannot be read."""
        ...

    def encoded(self, index: int) -> bytes:
        """An image file that decodes to this picture: the stored one where there is one; raises ImageError."""
        ...

    def where(self, index: int) -> str:
        """What messages call this picture."""
        ...


class FilePictures:
    """Image files.

    Args:
        paths: one a picture.
        max_pixels: larger images are refused from their header.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, max_pixels: int = MAX_PIXELS) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self._max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Image.Image:
        """Decodes one file to RGB; raises ImageError."""
        path = self.paths[index]
        return decode(path, where=path, max_pixels=self._max_pixels)

    def content(self, index: int) -> bytes:
        """The file's bytes; raises ImageError where it cannot be read."""
        try:
            return read_bytes(self.paths[index], limit=IMAGE_FILE)
        except OSError as error:
            path = self.paths[index]
            hint = " Write paths with '/', not with '\\'." if "\\" in path else ""
            raise ImageError(f"image file must be readable. '{path}': {error.strerror}.{hint}") from error

    def encoded(self, index: int) -> bytes:
        """The file's bytes; raises ImageError."""
        return self.content(index)

    def where(self, index: int) -> str:
        """The file's path."""
        return self.paths[index]


class ColumnPictures:
    """The image column of a table: each entry is a file's bytes, or its path, or a dict of `bytes` and `path`.

    Args:
        table: rows as mappings, such as a Hugging Face data set whose image feature has `decode=False`.
        column: which entry of a row.
        name: what messages call the table.
        folder: relative paths in the column start here.
        roots: folders, without links, that every path in the column must lie in; None for `folder`.
        max_pixels: larger images are refused from their header.
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
        self._table = table
        self._column = column
        self._name = name
        self._folder = folder
        self._roots = (os.path.realpath(folder),) if roots is None else tuple(roots)
        self._max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self._table)

    def image(self, index: int) -> Image.Image:
        """Decodes one entry to RGB; raises ImageError."""
        return decode(self.content(index), where=self.where(index), max_pixels=self._max_pixels)

    def content(self, index: int) -> bytes:
        """The stored bytes, or those of the file that the entry names.

        Raises:
            ImageError: they cannot be read.
            DataError: the file lies outside the roots.
        """
        entry = self._table[index][self._column]
        if isinstance(entry, dict):
            entry = entry.get("bytes") or entry.get("path")
        if isinstance(entry, bytes) and entry:
            return entry
        if isinstance(entry, str) and entry:
            place = place_inside(entry, self._folder, self._roots)
            if place is None:
                raise DataError(
                    f"paths must stay inside the folder of their table, '{self._folder}'. {self.where(index)} names "
                    f"{entry!r}. Move the images there, store their bytes, or list them in a CSV file, which may "
                    "hold absolute paths."
                )
            try:
                return read_bytes(place, limit=IMAGE_FILE)
            except OSError as error:
                raise ImageError(
                    f"image file must be readable. {self.where(index)} names '{entry}': {error.strerror}."
                ) from error
        raise ImageError(
            f"image entry must hold bytes or a path. {self.where(index)} is empty. Remove the row."
        )

    def encoded(self, index: int) -> bytes:
        """The stored bytes; raises ImageError."""
        return self.content(index)

    def where(self, index: int) -> str:
        """The table and the row, counted from 0."""
        return f"{self._name} row {index}"


class ArrayPictures:
    """Pictures in memory, already decoded.

    Args:
        pixels: (N, 3, H, W), uint8.
        name: what messages call them.
    """

    def __init__(self, pixels: Tensor, *, name: str) -> None:
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"pixels must be uint8 (N, 3, H, W). Got {pixels.dtype} {tuple(pixels.shape)}.")
        self._pixels: np.ndarray = (
            pixels.permute(0, 2, 3, 1).contiguous().numpy()
        )  # (N, H, W, 3), as PIL reads
        self._name = name

    def __len__(self) -> int:
        return len(self._pixels)

    def image(self, index: int) -> Image.Image:
        """One picture as RGB."""
        return Image.fromarray(self._pixels[index])

    def content(self, index: int) -> bytes:
        """The pixels, row by row."""
        return bytes(self._pixels[index])

    def encoded(self, index: int) -> bytes:
        """The picture as PNG."""
        return _png(self.image(index))

    def where(self, index: int) -> str:
        """The name and the index."""
        return f"{self._name} {index}"


class ChangedPictures:
    """Pictures of another holder, each changed after it is decoded; their content stays what it was.

    Args:
        pictures: the others.
        change: (RGB picture, its index) -> RGB picture; a pure function.
    """

    def __init__(self, pictures: Pictures, change: Callable[[Image.Image, int], Image.Image]) -> None:
        self.unchanged = pictures
        self._change = change

    def __len__(self) -> int:
        return len(self.unchanged)

    def image(self, index: int) -> Image.Image:
        """Decodes one picture and changes it; raises ImageError."""
        return self._change(self.unchanged.image(index), index)

    def content(self, index: int) -> bytes:
        """The bytes of the picture as it was; raises ImageError."""
        return self.unchanged.content(index)

    def encoded(self, index: int) -> bytes:
        """The changed picture as PNG; raises ImageError."""
        return _png(self.image(index))

    def where(self, index: int) -> str:
        """What the picture was called."""
        return self.unchanged.where(index)


class ChosenPictures:
    """Some pictures of another holder, in another order.

    Args:
        pictures: the others.
        rows: (N,), int64, into them.
    """

    def __init__(self, pictures: Pictures, rows: Tensor) -> None:
        self._pictures = pictures
        self._rows = rows.tolist()

    def __len__(self) -> int:
        return len(self._rows)

    def image(self, index: int) -> Image.Image:
        """Decodes one picture to RGB; raises ImageError."""
        return self._pictures.image(self._rows[index])

    def content(self, index: int) -> bytes:
        """The picture's bytes; raises ImageError."""
        return self._pictures.content(self._rows[index])

    def encoded(self, index: int) -> bytes:
        """An image file of the picture; raises ImageError."""
        return self._pictures.encoded(self._rows[index])

    def where(self, index: int) -> str:
        """What its holder calls the picture."""
        return self._pictures.where(self._rows[index])


class JoinedPictures:
    """Pictures of several holders, one after the other.

    Args:
        holders: in the order in which their pictures are counted.
    """

    def __init__(self, holders: Sequence[Pictures]) -> None:
        self._holders = list(holders)
        self._ends = list(itertools.accumulate(len(holder) for holder in self._holders))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def image(self, index: int) -> Image.Image:
        """Decodes one picture to RGB; raises ImageError."""
        holder, place = self._place(index)
        return holder.image(place)

    def content(self, index: int) -> bytes:
        """The picture's bytes; raises ImageError."""
        holder, place = self._place(index)
        return holder.content(place)

    def encoded(self, index: int) -> bytes:
        """An image file of the picture; raises ImageError."""
        holder, place = self._place(index)
        return holder.encoded(place)

    def where(self, index: int) -> str:
        """What its holder calls the picture."""
        holder, place = self._place(index)
        return holder.where(place)

    def _place(self, index: int) -> tuple[Pictures, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"index must be in [0, {len(self)}). Got {index}.")
        number = bisect.bisect_right(self._ends, index)
        return self._holders[number], index - (self._ends[number] - len(self._holders[number]))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
