"""The images that a caller gives, as loaders read them: paths, a folder, images in memory, or a source of data.

An image is decoded when it is used, as for training and evaluation. One that cannot be read is reported with its
reason; it does not end the work unless there are too many of them.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from radapter.data import BadImages, ClassificationSet, ImageSet, open_classification, open_pairs
from radapter.data.images.decoding import decode, upright_rgb
from radapter.data.images.sequences import FileImages, Images, png
from radapter.data.in_threads import attempt
from radapter.data.labelled.kinds import LABELLED
from radapter.data.loading import count_bad
from radapter.data.pairs.kinds import PAIRS
from radapter.data.paths import place
from radapter.data.source import DEFAULT, Reading, Source, is_source, keys_of, kind_of
from radapter.errors import ConfigError, DataError, ImageError
from radapter.search.index import images_below

Pixels = npt.NDArray[np.uint8]
"""An image in memory, (H, W, 3), uint8, RGB."""
OneImage = str | os.PathLike[str] | Image.Image | Pixels
ImagesLike = OneImage | Sequence[OneImage] | Mapping[str, Any] | Source
"""A path, a folder, a source of data, an image in memory, or a list of paths and images in memory."""


class Sample(NamedTuple):
    """One image, or the reason why it cannot be read.

    Attributes:
        path: its path, or its name in messages, such as "table row 3" or "image 3".
        label: its class, if it comes from a source of labelled images.
        image: RGB; None if it cannot be read.
        error: why it cannot be read; None if it can.
    """

    path: str
    label: str | None
    image: Image.Image | None
    error: ImageError | None


@final
@dataclass(frozen=True, eq=False)
class OpenedImages:
    """N images, decoded on access.

    Attributes:
        data: the images as loaders read them.
        paths: their paths, or their names in messages.
        labels: their classes, if they come from a source of labelled images.
        reading: the limits of images.
    """

    data: ImageSet
    paths: tuple[str, ...]
    labels: tuple[str, ...] | None
    reading: Reading

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Sample]:
        """Decodes the images in order; raises DataError if more than `reading.max_bad` of them are unreadable."""
        bad = BadImages(self.data.name, len(self), max_bad=self.reading.max_bad)
        for index, path in enumerate(self.paths):
            found = attempt(self.data.image, index)
            count_bad(bad, [(index, found)] if isinstance(found, ImageError) else [])
            label = None if self.labels is None else self.labels[index]
            if isinstance(found, ImageError):
                yield Sample(path, label, None, found)
            else:
                yield Sample(path, label, found, None)


def open_images(
    images: ImagesLike, *, classnames: Sequence[str] | None = None, reading: Reading = DEFAULT
) -> OpenedImages:
    """Opens images; they are decoded later, one at a time.

    Args:
        images: an image file, a folder, whose images at any depth are taken, a table or a mapping as in run.yaml, a
            PIL image, an array (H, W, 3) of uint8, or a list of files, PIL images and arrays.
        classnames: the classes of the model. A source of labelled images names its integer labels by them.
        reading: limits of images, the fraction that may be unreadable, and whether downloads are allowed.

    Raises:
        ConfigError: `images` is nothing of these, or a key of a source is wrong.
        DataError: a file or folder is missing, or there is no image.
    """
    if isinstance(images, (Mapping, Source)):
        return _of_source(images, classnames, reading)
    if isinstance(images, (str, os.PathLike)):
        path = place(os.fspath(images))
        if kind_of(path, LABELLED) is not None:
            return _of_source(str(path), classnames, reading)
        if path.is_dir():
            return _of_files([str(path / name) for name in images_below(path)], path.name, reading)
        if not path.exists():
            raise DataError(
                f"images must be a file or a folder that exists, or a mapping as in run.yaml. '{path}' does not "
                "exist. Correct the path."
            )
        return _of_files([str(path)], path.name, reading)
    if isinstance(images, Image.Image) or (isinstance(images, np.ndarray) and images.ndim == 3):
        return _of_items([images], reading)
    items = list(images)
    if items and all(isinstance(item, (str, os.PathLike)) for item in items):
        return _of_files([str(place(os.fspath(item))) for item in items], "images", reading)
    return _of_items(items, reading)


@final
class GivenImages(Images):
    """Files, PIL images and arrays, in one list."""

    def __init__(self, items: Sequence[OneImage], *, max_pixels: int) -> None:
        for number, item in enumerate(items):
            _check(item, number)
        self._items, self._max_pixels = list(items), max_pixels

    def __len__(self) -> int:
        return len(self._items)

    def image(self, index: int) -> Image.Image:
        """One image as upright RGB; raises ImageError."""
        item = self._items[index]
        if isinstance(item, (str, os.PathLike)):
            return decode(item, where=self.where(index), max_pixels=self._max_pixels)
        given = item if isinstance(item, Image.Image) else Image.fromarray(item)
        return upright_rgb(given, where=self.where(index), max_pixels=self._max_pixels)

    def content(self, index: int) -> bytes:
        """The pixels; raises ImageError."""
        return self.image(index).tobytes()

    def encoded(self, index: int) -> bytes:
        """The image as PNG; raises ImageError."""
        return png(self.image(index))

    def where(self, index: int) -> str:
        """The path of a file, else "image" and the index."""
        item = self._items[index]
        return os.fspath(item) if isinstance(item, (str, os.PathLike)) else f"image {index}"


def _check(item: object, number: int) -> None:
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim != 3 or item.shape[2] != 3 or 0 in item.shape:
            raise ConfigError(
                f"an image in an array must be (H, W, 3), uint8, RGB. Number {number} is {item.shape}, "
                f"{item.dtype}. Convert it first."
            )
    elif not isinstance(item, (str, os.PathLike, Image.Image)):
        raise ConfigError(
            f"images must be paths, PIL images or arrays (H, W, 3) of uint8. Number {number} is a "
            f"{type(item).__name__}. Convert it first."
        )


def _of_source(
    spec: str | Mapping[str, Any] | Source, classnames: Sequence[str] | None, reading: Reading
) -> OpenedImages:
    if _is_of_pairs(spec):
        pairs = open_pairs(spec, reading=reading, join=False)
        return OpenedImages(pairs, tuple(map(pairs.where, range(len(pairs)))), None, reading)
    try:
        data = open_classification(spec, classnames=classnames, reading=reading)
    except DataError:
        if classnames is None:
            raise
        data = open_classification(spec, reading=reading)  # of other classes than the model's
    labels = tuple(data.classnames[label] for label in data.labels.tolist())
    return OpenedImages(data, tuple(map(data.where, range(len(data)))), labels, reading)


def _is_of_pairs(spec: str | Mapping[str, Any] | Source) -> bool:
    if isinstance(spec, Source):
        return isinstance(spec, tuple(PAIRS))
    if not isinstance(spec, Mapping) or not is_source(spec, PAIRS):
        return False
    return not is_source(spec, LABELLED) or bool(spec.keys() - keys_of(LABELLED))


def _of_files(paths: Sequence[str], name: str, reading: Reading) -> OpenedImages:
    return _opened(FileImages(paths, max_pixels=reading.max_pixels), name, reading)


def _of_items(items: Sequence[OneImage], reading: Reading) -> OpenedImages:
    return _opened(GivenImages(items, max_pixels=reading.max_pixels), "images", reading)


def _opened(images: Images, name: str, reading: Reading) -> OpenedImages:
    count = len(images)
    if not count:
        raise DataError("images must hold at least one. Got none.")
    none = torch.zeros(count, dtype=torch.int64)  # loaders read labels and keys, which nothing uses here
    data = ClassificationSet(name, ("image",), none, none, images, torch.arange(count))
    return OpenedImages(data, tuple(map(images.where, range(count))), None, reading)
