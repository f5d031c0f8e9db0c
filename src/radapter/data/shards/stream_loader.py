"""Training batches from a stream of shards: shuffled and augmented, a pure function of (seed, epoch, rank).

The shards of an epoch are shuffled, then their samples in webdataset's buffer. The crop, flip and caption of a
sample are a hash of the seed, the epoch and the sample, as in `TrainLoader`: an epoch has the same samples, pixel
for pixel, in another order. A run that resumes in the middle of an epoch reads the used samples again, without
decoding them.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from radapter.data.images.augment import Augmentation, draws
from radapter.data.images.bad_images import MAX_BAD, BadImages
from radapter.data.images.decoding import decode
from radapter.data.in_threads import in_threads
from radapter.data.loading import Batch, Preprocess, check_loading, check_start
from radapter.data.shards.plan import reader_stretch, segments, shard_order, stretch
from radapter.data.shards.reading import Streamed, begin_reader, read, read_by_processes
from radapter.data.shards.stream import ShardStream, check_places
from radapter.errors import DataError, ImageError
from radapter.hashing import keys as hashed
from radapter.processes import ALONE, Processes

Failed = list[tuple[int, str]]
"""Samples that could not be decoded, with the reason."""
Read = tuple[Batch | None, Failed]
"""A batch, or None if none of it could be decoded, and the samples that could not."""


@final
class StreamLoader:
    """Batches of one process.

    Args:
        preprocess: Image to tensor, after `augment`.
        batch_size: Samples in a step, over all processes, a multiple of `per_image` and of the number of processes;
            the last step of an epoch takes what is left.
        seed: Seed of order, augmentation and captions.
        per_image: Captions of an image in a batch, drawn anew in every epoch; each is a sample with its own crop. An
            image with fewer captions gives all of them.
        max_bad: Fraction of the images that may be unreadable.
        workers: Decoding threads of each reader; 0 decodes in the reading thread.

    Raises:
        ConfigError: There are fewer shards than processes or their readers, or a batch cannot be shared evenly.
        MissingExtraError: webdataset is not installed.
    """

    def __init__(
        self,
        dataset: ShardStream,
        preprocess: Preprocess,
        augment: Augmentation,
        *,
        batch_size: int,
        seed: int,
        per_image: int = 1,
        max_bad: float = MAX_BAD,
        workers: int = 0,
        processes: Processes = ALONE,
    ) -> None:
        check_loading(batch_size=batch_size, workers=workers)
        per_step = max(batch_size // per_image, 1)
        check_places(dataset, per_step=per_step, world_size=processes.size)
        self.dataset = dataset
        self.bad = BadImages(dataset.name, len(dataset), max_bad=max_bad)
        self._own = stretch(len(dataset), per_step, processes.rank, processes.size)
        self._per_batch = per_step // processes.size
        self._preprocess, self._augment = preprocess, augment
        self._seed, self._per_image, self._workers, self._processes = seed, per_image, workers, processes

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state sent to spawned readers, without the process group, which cannot be pickled."""
        return {**self.__dict__, "_processes": None}

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, the same for every process."""
        return -(-len(self._own) // self._per_batch)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """This process's batches of an epoch, counted from 0, starting at a step in [0, steps_per_epoch].

        Unreadable images make their batch smaller; the number of batches stays the same.

        Raises:
            DataError: A shard is damaged or differs from sizes.json, or too many images are unreadable.
        """
        check_start(start_step, self.steps_per_epoch)
        reading = self._read(number, start_step)
        for step in range(start_step, self.steps_per_epoch):
            own: list[Batch | None] = []

            def read_here(own: list[Batch | None] = own) -> tuple[int, Failed]:
                batch, failed = next(reading)
                own.append(batch)
                return 0 if batch is None else len(batch), failed

            found = self._processes.together(read_here)
            if any(failed for _, failed in found):
                self._processes.together(partial(self._count, found, step))
            (batch,) = own
            assert batch is not None
            yield batch if len(found) == 1 else replace(batch, sizes=tuple(rows for rows, _ in found))

    def _count(self, found: Sequence[tuple[int, Failed]], step: int) -> None:
        """Counts the unreadable images of a step in all processes; a process without an image cannot take part."""
        for rows, failed in found:
            for index, message in failed:
                self.bad.add(index, ImageError(message))
            if not rows:
                raise DataError(
                    f"every process must have a readable image in each step. In step {step} of "
                    f"'{self.dataset.name}' one has none: {failed[0][1]} Repair the data, or use larger batches."
                )

    def _read(self, epoch: int, start_step: int) -> Iterator[Read]:
        readers = self.dataset.readers
        if readers == 0:
            yield from self._of_reader(epoch, start_step, 0)
            return
        loader = DataLoader(
            _Lanes(partial(self._of_reader, epoch, start_step)),
            batch_size=None,
            num_workers=readers,
            collate_fn=_unchanged,  # type: ignore[arg-type]  # of one item, as there is no batch
            generator=torch.Generator(),  # otherwise it draws from torch's generator, which is the caller's
            worker_init_fn=begin_reader,
        )
        for found in read_by_processes(loader, self.dataset.name):
            if isinstance(found, DataError):
                raise found
            yield found

    def _of_reader(self, epoch: int, start_step: int, number: int) -> Iterator[Read]:
        """The batches of one reader, starting at a step of the process; reader 0 has the first of them."""
        from webdataset import filters

        readers = max(self.dataset.readers, 1)
        reader = (number + start_step) % readers
        wanted = reader_stretch(self._own, self._per_batch, reader, readers)
        counts = list(self.dataset.shards.counts.values())
        found = segments(counts, shard_order(len(counts), self._seed, epoch), wanted)
        buffer = self.dataset.buffer
        generator = random.Random(f"{self._seed} {epoch} {wanted.start}")
        shuffled = filters.shuffle(buffer, initial=-(-buffer // 4), rng=generator)
        drawn = shuffled(read(self.dataset.shards, found))
        used = max(-(-(start_step - reader) // readers), 0)
        groups = islice(_groups(drawn, self._per_batch), used, None)
        for results in in_threads(groups, partial(self._prepared, epoch), self._workers):
            yield self._batch(results)

    def _prepared(self, epoch: int, sample: Streamed) -> tuple[Tensor, Tensor]:
        """Pixels (K, 3, H, W) of a sample and the numbers of their captions, (K,); raises ImageError."""
        chosen = self._chosen(epoch, sample)
        image = decode(sample.image, where=sample.where, max_pixels=self.dataset.max_pixels)
        # Pairs of an image differ by the number of their caption, as copies of an image do in TrainLoader.
        chances = draws(self._seed, epoch, torch.tensor(sample.key) + chosen).tolist()
        return torch.stack([self._preprocess(self._augment(image, draw)) for draw in chances]), chosen

    def _chosen(self, epoch: int, sample: Streamed) -> Tensor:
        """The numbers of a sample's captions that an epoch takes, ascending; 0 if it has a class."""
        numbers = torch.arange(max(len(sample.captions), 1))
        if len(numbers) <= self._per_image:
            return numbers
        ranks = hashed(self._seed, sample.number * self.dataset.most_captions + numbers, f"captions {epoch}")
        return torch.argsort(ranks, stable=True)[: self._per_image].sort().values

    def _batch(self, results: list[tuple[Streamed, tuple[Tensor, Tensor] | ImageError]]) -> Read:
        failed = [(s.number, str(result)) for s, result in results if isinstance(result, ImageError)]
        decoded = [(s, *result) for s, result in results if not isinstance(result, ImageError)]
        if not decoded:
            return None, failed
        samples = [sample for sample, _, _ in decoded]
        rows = torch.tensor([len(chosen) for _, _, chosen in decoded])
        spacing = self.dataset.most_captions
        captions = tuple(s.captions[c] for s, _, chosen in decoded if s.captions for c in chosen.tolist())
        groups = [sample.group for sample in samples]
        batch = Batch(
            pixels=torch.cat([pixels for _, pixels, _ in decoded]),
            labels=torch.tensor([self._label(sample) for sample in samples]).repeat_interleave(rows),
            keys=torch.tensor([sample.key for sample in samples]).repeat_interleave(rows),
            indices=torch.cat([sample.number * spacing + chosen for sample, _, chosen in decoded]),
            groups=None if None in groups else torch.tensor(groups).repeat_interleave(rows),
            captions=captions or None,
        )
        return batch, failed

    def _label(self, sample: Streamed) -> int:
        label_of = self.dataset.label_of
        if label_of is None:
            return sample.label
        if not 0 <= sample.label < len(label_of):
            raise DataError(
                f"a label must be in [0, {len(label_of) - 1}], the class list. '{sample.where}' has "
                f"{sample.label}. Write the shards again."
            )
        return label_of[sample.label]


class _Lanes(IterableDataset[Read | DataError]):
    """The batches of each worker of a DataLoader, which takes them in turn, starting with worker 0."""

    def __init__(self, of_worker: Callable[[int], Iterator[Read]]) -> None:
        self._of_worker = of_worker

    def __iter__(self) -> Iterator[Read | DataError]:
        worker = get_worker_info()
        assert worker is not None
        try:
            yield from self._of_worker(worker.id)
        except DataError as error:  # raised in a worker, its message would be the worker's traceback
            yield error


def _groups(samples: Iterator[Streamed], size: int) -> Iterator[list[Streamed]]:
    while group := list(islice(samples, size)):
        yield group


def _unchanged(item: Read) -> Read:
    return item
