"""What loaders read, `ImageSet`, and what they give, `Batch`."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.pictures.bad_images import BadImages
from radapter.errors import ConfigError, ImageError

Preprocess = Callable[[Image.Image], Tensor]
"""RGB picture to (3, H, W), float: `DualEncoder.preprocess`; of a `PromptedEncoder` RGBA to (4, H, W)."""


class KnownSet(Protocol):
    """Samples with an image each, as guards and messages see them. `ClassificationSet` and `ShardStream` are such.

    keys: (K,), int64, content hashes of all images.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def keys(self) -> Tensor:
        """What its images hold."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of images and labels: equal for equal sets."""

    def __len__(self) -> int:
        """How many there are."""

    def where(self, index: int) -> str:
        """What messages call a sample, by its number in `Batch.indices`."""


class ImageSet(KnownSet, Protocol):
    """N samples that can be asked for one by one: what loaders read. `ClassificationSet` is one.

    labels: (N,), int64. keys: (N,), int64. groups: (N,), int64; None where there are none.
    """

    @property
    def labels(self) -> Tensor:
        """What each sample is."""

    @property
    def groups(self) -> Tensor | None:
        """Which group it belongs to."""

    def image(self, index: int) -> Image.Image:
        """Decodes the image at `index` to RGB, or RGBA for a `PromptedEncoder`; raises ImageError."""


class Loader(Protocol):
    """Training batches, epoch by epoch: `TrainLoader` of a set, `StreamLoader` of shards."""

    @property
    def dataset(self) -> KnownSet:
        """What is loaded."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int, start_step: int = 0) -> Iterator["Batch"]:
        """The batches of one epoch from a step on."""


class BatchSampler(Protocol):
    """Which samples each step of an epoch takes; a pure function of the epoch's number."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch, counted from 0: indices into the data set."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """B pictures, ready for an image tower.

    Attributes:
        pixels: (B, 3, H, W), float, as `Preprocess` gives them; shared with the cache, not to be changed in place.
        labels: (B,), int64.
        keys: (B,), int64, the content hashes.
        indices: (B,), int64, into the data set.
        groups: (B,), int64; None where the data set has none.
        captions: B texts, where they come with a stream; None where the data set holds them, or there are none.
        sizes: rows of each process, by rank, where this is a part of a batch; None for a whole one.
    """

    pixels: Tensor
    labels: Tensor
    keys: Tensor
    indices: Tensor
    groups: Tensor | None = None
    captions: tuple[str, ...] | None = None
    sizes: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)


Results = list[tuple[int, Tensor | ImageError]]
"""By its place in the data set a picture, or why it could not be decoded."""


def check_loading(*, batch_size: int | None, workers: int) -> None:
    """Raises ConfigError where a batch or the number of workers is too small."""
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size must be >= 1. Got {batch_size}.")
    if workers < 0:
        raise ConfigError(f"workers must be >= 0. Got {workers}.")


def grouped(indices: list[int], size: int) -> list[list[int]]:
    """Neighbours together; the last group has what is left."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def count_bad(bad: BadImages, results: Iterable[tuple[int, Tensor | ImageError]]) -> None:
    """Counts the pictures that could not be decoded; raises DataError where they are too many."""
    for index, result in results:
        if isinstance(result, ImageError):
            bad.add(index, result)


def batch_of(dataset: ImageSet, results: Results) -> Batch | None:
    """The pictures that could be decoded; None where there is none."""
    pixels, indices = [], []
    for index, result in results:
        if not isinstance(result, ImageError):
            pixels.append(result)
            indices.append(index)
    if not pixels:
        return None
    chosen = torch.tensor(indices)
    groups = None if dataset.groups is None else dataset.groups[chosen]
    return Batch(torch.stack(pixels), dataset.labels[chosen], dataset.keys[chosen], chosen, groups)
