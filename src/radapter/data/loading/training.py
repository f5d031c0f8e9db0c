"""A data set shuffled and augmented, every epoch anew."""

import collections
import dataclasses
from collections.abc import Callable, Iterator
from typing import final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.in_threads import attempt, in_threads
from radapter.data.loading.batch import (
    Batch,
    BatchSampler,
    ImageSet,
    Preprocess,
    Results,
    batch_of,
    check_loading,
    count_bad,
    grouped,
)
from radapter.data.memory import Lease, Memory
from radapter.data.pictures.augment import CROP_SCALE, Augmentation, draws
from radapter.data.pictures.bad_images import MAX_BAD, BadImages
from radapter.errors import ConfigError, DataError, ImageError
from radapter.hashing import keys as hashed
from radapter.processes import ALONE, Processes


@final
class TrainLoader:
    """A data set shuffled and augmented, every epoch anew: a pure function of (seed, epoch, content).

    Args:
        dataset: what to load.
        preprocess: picture to tensor, after augmentation.
        image_size: side of the square that a crop is stretched to, in pixels: the image tower's.
        batch_size: pictures a step; the last step of an epoch takes what is left. None where a sampler says it.
        seed: of order and augmentation.
        crop_scale: range of a random crop's area, as a fraction of the picture's; None crops nothing.
        flip: whether every other image is mirrored.
        max_bad: fraction of the set that may be unreadable.
        workers: decoding threads; 0 decodes in the caller's.
        memory: shared budget for decoded pictures; None decodes in every epoch.
        sampler: says what each batch holds; None shuffles. Exactly one of it and `batch_size` is given.
        processes: share each batch. One with fewer pictures than processes goes whole to each of them.
    """

    def __init__(
        self,
        dataset: ImageSet,
        preprocess: Preprocess,
        *,
        image_size: int,
        batch_size: int | None = None,
        seed: int,
        crop_scale: tuple[float, float] | None = CROP_SCALE,
        flip: bool = True,
        max_bad: float = MAX_BAD,
        workers: int = 0,
        memory: Memory | None = None,
        sampler: BatchSampler | None = None,
        processes: Processes = ALONE,
    ) -> None:
        if (batch_size is None) == (sampler is None):
            raise ConfigError("a loader takes exactly one of batch_size and sampler. Leave one out.")
        check_loading(batch_size=batch_size, workers=workers)
        self.dataset = dataset
        self.bad = BadImages(dataset.name, len(dataset), max_bad=max_bad)
        self._preprocess = preprocess
        self._augment = Augmentation(image_size, crop_scale, flip)
        self._seed = seed
        self._workers = workers
        self._processes = processes
        self._lease = Lease(memory)
        self._identities = _told_apart(dataset.keys)
        self._sampler = sampler or _Shuffled(self._identities, batch_size or 1, seed)
        self._decoded: dict[int, Image.Image] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self._sampler)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from a step on.

        An unreadable picture is skipped, which makes its batch smaller; the number of batches stays.

        Args:
            number: the epoch, counted from 0.
            start_step: the first batch wanted, in [0, steps_per_epoch].

        Raises:
            DataError: too many pictures are unreadable.
        """
        if not 0 <= start_step <= self.steps_per_epoch:
            raise ValueError(f"start_step must be in [0, {self.steps_per_epoch}]. Got {start_step}.")

        # One image at a time: the rows of a large set would not fit memory.
        def one(index: int) -> Tensor:
            (draw,) = draws(self._seed, number, self._identities[index : index + 1]).tolist()
            return self._preprocess(self._augment(self._image(index), draw))

        groups, order = self._sampler.epoch(number)[start_step:], self.order(number)
        decoded = in_threads((self._own(group) for group in groups), one, self._workers)
        for group in groups:
            yield self._agreed(group, decoded, one) or self._substitute(order, group[-1], one)

    def order(self, epoch: int) -> list[int]:
        """The data set's indices in the order of an epoch."""
        return [index for group in self._sampler.epoch(epoch) for index in group]

    def _own(self, group: list[int]) -> list[int]:
        """This process's part of a batch; all of one that is too small to be parted."""
        return (
            group
            if len(group) < self._processes.size
            else [group[i] for i in self._processes.share(len(group))]
        )

    def _agreed(
        self, group: list[int], decoded: Iterator[Results], one: Callable[[int], Tensor]
    ) -> Batch | None:
        """The part of a batch that was decoded here, once every process has its own; None where none is readable."""
        own: Results = []

        def decode() -> tuple[int, Results]:
            own.extend(next(decoded))
            failed: Results = [(index, result) for index, result in own if isinstance(result, ImageError)]
            return len(own) - len(failed), failed

        found = self._processes.together(decode)
        failed = [result for _, of_one in found for result in of_one]
        if failed:
            self._processes.everywhere(lambda: count_bad(self.bad, failed))
        sizes = tuple(readable for readable, _ in found)
        if len(group) < self._processes.size or self._processes.size == 1:
            return batch_of(self.dataset, own)
        if all(sizes):
            batch = batch_of(self.dataset, own)
            assert batch is not None
            return dataclasses.replace(batch, sizes=sizes)
        # A process without a picture could not take part: each takes the whole batch.
        return (
            batch_of(self.dataset, [(index, attempt(one, index)) for index in group]) if any(sizes) else None
        )

    def _image(self, index: int) -> Image.Image:
        content = int(self.dataset.keys[index])  # samples may share an image: pairs of it and its captions
        known = self._decoded.get(content)
        if known is not None:
            return known
        image = self.dataset.image(index)
        if self._lease.take(image.width * image.height * 3):
            self._decoded[content] = image
        return image

    def _substitute(self, order: list[int], index: int, one: Callable[[int], Tensor]) -> Batch:
        """The next readable picture, for a batch with none: a step without pictures could not be counted."""
        position = order.index(index)
        for other in order[position + 1 :] + order[:position]:
            results = [(other, attempt(one, other))]
            count_bad(self.bad, results)
            batch = batch_of(self.dataset, results)
            if batch is not None:
                return batch
        raise DataError(f"data set must hold a readable picture. '{self.dataset.name}' holds none.")


@final
class _Shuffled:
    """Every sample once an epoch, in an order that a hash of (seed, epoch, content) gives."""

    def __init__(self, identities: Tensor, batch_size: int, seed: int) -> None:
        self._identities, self._batch_size, self._seed = identities, batch_size, seed

    def __len__(self) -> int:
        return -(-len(self._identities) // self._batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """Batches of indices."""
        ranks = hashed(self._seed, self._identities, f"order {number}")
        return grouped(torch.argsort(ranks, stable=True).tolist(), self._batch_size)


def _told_apart(keys: Tensor) -> Tensor:
    """Keys that differ also between copies of one picture: copies would always meet in one batch."""
    seen: collections.Counter[int] = collections.Counter()
    copies = []
    for key in keys.tolist():
        copies.append(seen[key])
        seen[key] += 1
    return keys + torch.tensor(copies, dtype=torch.int64)
