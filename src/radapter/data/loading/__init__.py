"""Batches: what loaders read, `ImageSet`, and what they yield, `Batch`.

`EvalLoader` yields a set in order; `TrainLoader` shuffles and augments it (loaders.py). Both decode in threads
(Pillow and torch release the interpreter lock), cache what fits the memory budget, and skip corrupt images.
The number of workers never changes a batch.

With several processes, each decodes its share: whole batches for evaluation, so that results equal those of one
process, and a part of every batch for training. All processes count the images that one of them cannot decode.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.images.bad_images import BadImages
from radapter.errors import ConfigError, ImageError
from radapter.processes import Processes

Preprocess = Callable[[Image.Image], Tensor]
"""RGB image to (3, H, W), float: `DualEncoder.preprocess`. For a `PromptedEncoder`, RGBA to (4, H, W)."""
Results = list[tuple[int, Tensor | ImageError]]
"""Index in the data set, and the decoded image or the reason why it could not be decoded."""


class KnownSet(Protocol):
    """Samples with an image each, as guards and messages see them, such as `ClassificationSet` and `ShardStream`."""

    @property
    def name(self) -> str:
        """The name used in messages."""

    @property
    def keys(self) -> Tensor:
        """Content hashes of all images, (K,), int64."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of images and labels: equal for equal sets."""

    def __len__(self) -> int:
        """Number of images."""

    def where(self, index: int) -> str:
        """The name of a sample in messages, by its number in `Batch.indices`."""


class ImageSet(KnownSet, Protocol):
    """N samples with random access: what loaders read. `ClassificationSet` is one."""

    @property
    def labels(self) -> Tensor:
        """(N,), int64."""

    @property
    def groups(self) -> Tensor | None:
        """(N,), int64; None if there are none."""

    def image(self, index: int) -> Image.Image:
        """Decodes an image to RGB, or to RGBA for a `PromptedEncoder`; raises ImageError."""


class Loader(Protocol):
    """Training batches, epoch by epoch: `TrainLoader` for a set, `StreamLoader` for shards."""

    @property
    def dataset(self) -> KnownSet:
        """The samples."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int, start_step: int = 0) -> Iterator["Batch"]:
        """The batches of one epoch, starting at a step."""


class BatchSampler(Protocol):
    """Selects the samples of each step; a pure function of the epoch number."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch, counted from 0, as indices into the data set."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """B images, ready for an image tower."""

    pixels: Tensor  # (B, 3, H, W), float, as preprocessed; shared with the cache: do not change in place
    labels: Tensor  # (B,), int64
    keys: Tensor  # (B,), int64, content hashes
    indices: Tensor  # (B,), int64, into the data set
    groups: Tensor | None = None  # (B,), int64; None if the data set has none
    captions: tuple[str, ...] | None = None  # B texts of a stream; None if the data set holds them
    sizes: tuple[int, ...] | None = None  # rows of each process, by rank, if this is one's part of a batch

    def __len__(self) -> int:
        return len(self.labels)


def check_loading(*, batch_size: int | None, workers: int) -> None:
    """Raises ConfigError if the batch size or the number of workers is too small."""
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size must be >= 1, got {batch_size}.")
    if workers < 0:
        raise ConfigError(f"workers must be >= 0, got {workers}.")


def check_start(start_step: int, steps_per_epoch: int) -> None:
    """Raises ValueError if an epoch has no such first step."""
    if not 0 <= start_step <= steps_per_epoch:
        raise ValueError(f"start_step must be in [0, {steps_per_epoch}], got {start_step}.")


def grouped(indices: list[int], size: int) -> list[list[int]]:
    """Consecutive groups; the last one has what is left."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def count_bad(bad: BadImages, results: Iterable[tuple[int, Tensor | ImageError]]) -> None:
    """Counts the images that could not be decoded; raises DataError if there are too many."""
    for index, result in results:
        if isinstance(result, ImageError):
            bad.add(index, result)


def batch_of(dataset: ImageSet, results: Results) -> Batch | None:
    """A batch of the images that could be decoded; None if there is none."""
    decoded = [(index, result) for index, result in results if not isinstance(result, ImageError)]
    if not decoded:
        return None
    chosen = torch.tensor([index for index, _ in decoded])
    groups = None if dataset.groups is None else dataset.groups[chosen]
    pixels = torch.stack([image for _, image in decoded])
    return Batch(pixels, dataset.labels[chosen], dataset.keys[chosen], chosen, groups)


def meet(bad: BadImages, failure: Exception | None, processes: Processes) -> None:
    """Ends a pass of all processes: `bad` then counts the failures of all, and an error of one is raised in all.

    Call it also after a pass that decoded nothing: the other processes do not know what this one had cached.
    """

    def own() -> Mapping[int, str]:
        if failure is not None:
            raise failure
        return bad.messages

    found = processes.together(own)
    others = [(index, ImageError(message)) for of_one in found for index, message in of_one.items()]
    processes.everywhere(lambda: count_bad(bad, others))
