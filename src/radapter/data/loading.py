"""Batches: in order for evaluation, shuffled and augmented for training.

Both loaders decode with threads (Pillow and torch release the interpreter for the heavy part), keep what fits the
memory budget, and skip what cannot be decoded. What a batch holds never depends on the number of workers.

Of several processes each decodes its share: for evaluation whole batches, so that each is computed as it would be
by one process; for training its part of every batch. Pictures that one process cannot decode are counted by all.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.in_threads import attempt, in_threads
from radapter.data.memory import Lease, Memory
from radapter.data.pictures.augment import CROP_SCALE, Augmentation, draws
from radapter.data.pictures.bad_images import MAX_BAD, BadImages
from radapter.data.splits import Progress
from radapter.errors import ConfigError, DataError, ImageError
from radapter.hashing import keys as hashed
from radapter.processes import ALONE, Processes

Preprocess = Callable[[Image.Image], Tensor]
"""RGB picture to (3, H, W), float: `DualEncoder.preprocess`."""


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
        """Decodes the image at `index` to RGB; raises ImageError."""


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


_Results = list[tuple[int, Tensor | ImageError]]


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """B pictures, ready for an image tower.

    Attributes:
        pixels: (B, 3, H, W), float; shared with the cache, not to be changed in place.
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


@final
class EvalLoader:
    """A data set in order, preprocessed once if the memory budget allows and replayed from then on.

    Args:
        dataset: what to load.
        preprocess: picture to tensor.
        batch_size: pictures a batch, before unreadable ones are skipped.
        max_bad: fraction of the set that may be unreadable.
        workers: decoding threads; 0 decodes in the caller's.
        memory: shared budget; None caches nothing.
        progress: told (pictures done, all) after each batch.
        processes: share the batches, neighbouring ones to each, so that theirs by rank are all in order; each must
            take a whole pass.
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
        self._preprocess = preprocess
        self._batch_size = batch_size
        self._workers = workers
        self._memory = memory
        self._progress = progress
        self._processes = processes
        self._kept: list[Batch] | None = None
        self._lease: Lease | None = None

    def __len__(self) -> int:
        """Batches a pass of this process; one less for each batch of unreadable pictures only."""
        return len(self._groups())

    def __iter__(self) -> Iterator[Batch]:
        """One pass.

        Raises:
            DataError: too many pictures are unreadable, or all of them.
        """
        total, done = len(self.dataset), 0
        failure: Exception | None = None
        try:
            for batch in self._kept if self._kept is not None else self._decoded():
                yield batch
                done = int(batch.indices[-1]) + 1
                if self._progress is not None:
                    self._progress(done, total)
        except Exception as error:
            if self._processes.size == 1:
                raise
            failure = error  # the others are still decoding: it is told where they hear it
        meet(self.bad, failure, self._processes)
        if len(self.bad) == total:
            raise DataError(f"data set must hold a readable picture. '{self.dataset.name}' holds none.")

    def _decoded(self) -> Iterator[Batch]:
        lease = Lease(self._memory)  # goes with the list below, or with a pass that is left early
        fresh: list[Batch] | None = None
        fits: bool | None = None
        groups = self._groups()
        for results in in_threads(groups, self._one, self._workers):
            _count(self.bad, results)
            batch = _batch(self.dataset, results)
            if batch is None:
                continue
            if fits is None:  # the first picture says how large all are
                fits = lease.take(batch.pixels[0].nbytes * sum(map(len, groups)))
                fresh = [] if fits else None
            if fresh is not None:
                fresh.append(batch)
            yield batch
        if fresh is not None:
            self._kept, self._lease = fresh, lease

    def _groups(self) -> list[list[int]]:
        groups = _grouped(list(range(len(self.dataset))), self._batch_size)
        return [groups[number] for number in self._processes.share(len(groups))]

    def _one(self, index: int) -> Tensor:
        return self._preprocess(self.dataset.image(index))


def meet(bad: BadImages, failure: Exception | None, processes: Processes) -> None:
    """Ends a pass of all processes: counts what each could not decode, raises in all what one raised.

    Also after a pass that decoded nothing: whether a process kept its share is known to it alone.

    Args:
        bad: of this process; afterwards it has those of all.
        failure: what ended this process's share; None where it is whole.
        processes: that share the pass.
    """

    def own() -> Mapping[int, str]:
        if failure is not None:
            raise failure
        return bad.messages

    found = processes.together(own)
    others = [(index, ImageError(message)) for of_one in found for index, message in of_one.items()]
    processes.everywhere(lambda: _count(bad, others))


def batches(
    dataset: ImageSet,
    preprocess: Preprocess,
    *,
    batch_size: int,
    max_bad: float = MAX_BAD,
    workers: int = 0,
    progress: Progress | None = None,
) -> Iterator[Batch]:
    """One pass over a data set in order; the arguments are `EvalLoader`'s."""
    return iter(
        EvalLoader(
            dataset, preprocess, batch_size=batch_size, max_bad=max_bad, workers=workers, progress=progress
        )
    )


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
        flip: whether every other picture is mirrored.
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
        chances = draws(self._seed, number, self._identities).tolist()

        def one(index: int) -> Tensor:
            return self._preprocess(self._augment(self._image(index), chances[index]))

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
        self, group: list[int], decoded: Iterator[_Results], one: Callable[[int], Tensor]
    ) -> Batch | None:
        """The part of a batch that was decoded here, once every process has its own; None where none is readable."""
        own: _Results = []

        def decode() -> tuple[int, _Results]:
            own.extend(next(decoded))
            failed: _Results = [(index, result) for index, result in own if isinstance(result, ImageError)]
            return len(own) - len(failed), failed

        found = self._processes.together(decode)
        failed = [result for _, of_one in found for result in of_one]
        if failed:
            self._processes.everywhere(lambda: _count(self.bad, failed))
        sizes = tuple(readable for readable, _ in found)
        if len(group) < self._processes.size or self._processes.size == 1:
            return _batch(self.dataset, own)
        if all(sizes):
            batch = _batch(self.dataset, own)
            assert batch is not None
            return dataclasses.replace(batch, sizes=sizes)
        # A process without a picture could not take part: each takes the whole batch.
        return _batch(self.dataset, [(index, attempt(one, index)) for index in group]) if any(sizes) else None

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
            _count(self.bad, results)
            batch = _batch(self.dataset, results)
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
        return _grouped(torch.argsort(ranks, stable=True).tolist(), self._batch_size)


def check_loading(*, batch_size: int | None, workers: int) -> None:
    """Raises ConfigError where a batch or the number of workers is too small."""
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size must be >= 1. Got {batch_size}.")
    if workers < 0:
        raise ConfigError(f"workers must be >= 0. Got {workers}.")


def _told_apart(keys: Tensor) -> Tensor:
    """Keys that differ also between copies of one picture: copies would always meet in one batch."""
    seen: collections.Counter[int] = collections.Counter()
    copies = []
    for key in keys.tolist():
        copies.append(seen[key])
        seen[key] += 1
    return keys + torch.tensor(copies, dtype=torch.int64)


def _grouped(indices: list[int], size: int) -> list[list[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def _count(bad: BadImages, results: Iterable[tuple[int, Tensor | ImageError]]) -> None:
    for index, result in results:
        if isinstance(result, ImageError):
            bad.add(index, result)


def _batch(dataset: ImageSet, results: _Results) -> Batch | None:
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
