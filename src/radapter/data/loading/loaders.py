"""The loaders of a data set: `EvalLoader` in order, decoded once if memory allows, and `TrainLoader` shuffled."""

import collections
import dataclasses
from collections.abc import Callable, Iterator
from typing import final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.images.augment import Augmentation, draws
from radapter.data.images.bad_images import MAX_BAD, BadImages
from radapter.data.in_threads import attempt, in_threads
from radapter.data.loading import (
    Batch,
    BatchSampler,
    ImageSet,
    Preprocess,
    Results,
    batch_of,
    check_loading,
    check_start,
    count_bad,
    grouped,
    meet,
)
from radapter.data.memory import Lease, Memory
from radapter.data.splits import Progress
from radapter.errors import ConfigError, DataError, ImageError
from radapter.hashing import keys as hashed
from radapter.processes import ALONE, Processes


@final
class EvalLoader:
    """A data set in order, preprocessed once and replayed from then on if the memory budget allows.

    Args:
        batch_size: Images in a batch, before unreadable ones are skipped.
        max_bad: Fraction of the set that may be unreadable.
        workers: Decoding threads; 0 decodes in the calling thread.
        memory: Shared budget; None caches nothing.
        progress: Called with (images done, all) after each batch.
        processes: Split the batches into neighbouring ranges, in order of rank. Each must take a whole pass.
    """

    def __init__(
        self,
        dataset: ImageSet,
        preprocess: Preprocess,
        *,
        batch_size: int,
        max_bad: float = MAX_BAD,
        workers: int = 0,
        memory: Memory | None = None,
        progress: Progress | None = None,
        processes: Processes = ALONE,
    ) -> None:
        check_loading(batch_size=batch_size, workers=workers)
        self.dataset = dataset
        self.bad = BadImages(dataset.name, len(dataset), max_bad=max_bad)
        self._preprocess, self._batch_size, self._workers = preprocess, batch_size, workers
        self._memory, self._progress, self._processes = memory, progress, processes
        self._kept: list[Batch] | None = None
        self._lease: Lease | None = None

    def __iter__(self) -> Iterator[Batch]:
        """One pass. Raises DataError if too many images are unreadable, or all of them."""
        total = len(self.dataset)
        failure: Exception | None = None
        try:
            for batch in self._kept if self._kept is not None else self._decoded():
                yield batch
                if self._progress is not None:
                    self._progress(int(batch.indices[-1]) + 1, total)
        except Exception as error:
            if self._processes.size == 1:
                raise
            failure = error  # the other processes are still decoding: it is raised below, in all
        meet(self.bad, failure, self._processes)
        if len(self.bad) == total:
            raise DataError(f"data set must hold a readable image. '{self.dataset.name}' holds none.")

    def _decoded(self) -> Iterator[Batch]:
        lease = Lease(self._memory)  # goes with the list below, or with a pass that is left early
        fresh: list[Batch] = []
        fits: bool | None = None
        groups = grouped(list(range(len(self.dataset))), self._batch_size)
        groups = [groups[number] for number in self._processes.share(len(groups))]
        for results in in_threads(groups, lambda i: self._preprocess(self.dataset.image(i)), self._workers):
            count_bad(self.bad, results)
            batch = batch_of(self.dataset, results)
            if batch is None:
                continue
            if fits is None:  # all images are as large as the first
                fits = lease.take(batch.pixels[0].nbytes * sum(map(len, groups)))
            if fits:
                fresh.append(batch)
            yield batch
        if fits:
            self._kept, self._lease = fresh, lease


@final
class TrainLoader:
    """A data set shuffled and augmented in every epoch: a pure function of (seed, epoch, content).

    Args:
        preprocess: Image to tensor, after `augment`.
        batch_size: Images in a step; the last step of an epoch takes what is left. None if `sampler` is given.
        seed: Seed of order and augmentation.
        max_bad, workers: As for `EvalLoader`.
        memory: Shared budget for decoded images; None decodes them again in every epoch.
        sampler: Selects the samples of each batch; None shuffles. Give either it or `batch_size`.
        processes: Share each batch. A batch with fewer images than processes goes whole to each of them.
    """

    def __init__(
        self,
        dataset: ImageSet,
        preprocess: Preprocess,
        augment: Augmentation,
        *,
        batch_size: int | None = None,
        seed: int,
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
        self._preprocess, self._augment = preprocess, augment
        self._seed, self._workers, self._processes = seed, workers, processes
        self._identities = _distinct(dataset.keys)
        self._sampler = sampler or _Shuffled(self._identities, batch_size or 1, seed)
        self._lease = Lease(memory)
        self._decoded: dict[int, Image.Image] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self._sampler)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, starting at a step in [0, steps_per_epoch].

        Unreadable images make their batch smaller; the number of batches stays the same. Raises DataError if there
        are too many.
        """
        check_start(start_step, self.steps_per_epoch)

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
        """This process's part of a batch, or all of a batch that is too small to be shared."""
        if len(group) < self._processes.size:
            return group
        return [group[place] for place in self._processes.share(len(group))]

    def _agreed(
        self, group: list[int], decoded: Iterator[Results], one: Callable[[int], Tensor]
    ) -> Batch | None:
        """This process's part of a batch, once every process has its own; None if no image is readable."""
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
        is_whole = len(group) < self._processes.size or self._processes.size == 1
        if is_whole or all(sizes):
            batch = batch_of(self.dataset, own)
            return batch if is_whole or batch is None else dataclasses.replace(batch, sizes=sizes)
        if not any(sizes):
            return None
        # A process without an image could not take part in the step: each takes the whole batch.
        return batch_of(self.dataset, [(index, attempt(one, index)) for index in group])

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
        """The next readable image, for a batch without one: a step without images could not be counted."""
        position = order.index(index)
        for other in order[position + 1 :] + order[:position]:
            results = [(other, attempt(one, other))]
            count_bad(self.bad, results)
            batch = batch_of(self.dataset, results)
            if batch is not None:
                return batch
        raise DataError(f"data set must hold a readable image. '{self.dataset.name}' holds none.")


@final
class _Shuffled:
    """Every sample once in an epoch, ordered by a hash of (seed, epoch, content)."""

    def __init__(self, identities: Tensor, batch_size: int, seed: int) -> None:
        self._identities, self._batch_size, self._seed = identities, batch_size, seed

    def __len__(self) -> int:
        return -(-len(self._identities) // self._batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """Batches of indices."""
        ranks = hashed(self._seed, self._identities, f"order {number}")
        return grouped(torch.argsort(ranks, stable=True).tolist(), self._batch_size)


def _distinct(keys: Tensor) -> Tensor:
    """Keys that also differ between copies of an image: otherwise copies would always share a batch."""
    seen: collections.Counter[int] = collections.Counter()
    copies = []
    for key in keys.tolist():
        copies.append(seen[key])
        seen[key] += 1
    return keys + torch.tensor(copies, dtype=torch.int64)
