"""Training batches from a stream of shards: shuffled and augmented, a pure function of (seed, epoch, place).

The shards of an epoch are shuffled, then their samples in a buffer (webdataset's). What is drawn for a sample, its
crop, its flip, its caption, is a hash of the seed, the epoch and the sample, as in `TrainLoader`: the samples of an
epoch are the same, pixel for pixel, in another order. A run continues in the middle of an epoch by reading what it
used again and decoding none of it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, final

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from radapter.data.in_threads import in_threads
from radapter.data.loading import Batch, Preprocess, check_loading
from radapter.data.pictures.augment import CROP_SCALE, Augmentation
from radapter.data.pictures.bad_images import MAX_BAD, BadImages
from radapter.data.shards.plan import (
    check_places,
    reader_stretch,
    segments,
    shard_order,
    stretch,
)
from radapter.data.shards.prepared import Prepared, Read
from radapter.data.shards.readers import begin_reader, read_by_processes
from radapter.data.shards.reading import Streamed, read
from radapter.data.shards.stream import ShardStream
from radapter.errors import DataError, ImageError
from radapter.processes import ALONE

Together = Callable[[Callable[[], Any]], list[Any]]
"""What every process gives, by rank; what one raises is raised in all."""


@final
class StreamLoader:
    """Batches of one process.

    Args:
        dataset: what to load.
        preprocess: picture to tensor, after augmentation.
        image_size: side of the square that a crop is stretched to, in pixels: the image tower's.
        batch_size: samples a step, over all processes; the last step of an epoch takes what is left. A multiple of
            `per_image` and of the processes.
        seed: of order, augmentation and captions.
        per_image: captions of an image in a batch, drawn anew in every epoch; each is a sample with a crop of its
            own. An image with fewer gives all it has.
        crop_scale: range of a random crop's area, as a fraction of the picture's; None crops nothing.
        flip: whether every other picture is mirrored.
        max_bad: fraction of the images that may be unreadable.
        workers: decoding threads, of each reader; 0 decodes where it is read. Changes no batch.
        rank: of this process among those that train together.
        world_size: how many they are.
        together: gives, by rank, what a function gives in every process, `Processes.together`; it must fit
            `world_size`, unless the batches of one process are all that is asked for.

    Raises:
        ConfigError: there are fewer shards than processes or their readers, or a batch cannot be parted.
        MissingExtraError: webdataset is not installed.
    """

    def __init__(
        self,
        dataset: ShardStream,
        preprocess: Preprocess,
        *,
        image_size: int,
        batch_size: int,
        seed: int,
        per_image: int = 1,
        crop_scale: tuple[float, float] | None = CROP_SCALE,
        flip: bool = True,
        max_bad: float = MAX_BAD,
        workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
        together: Together = ALONE.together,
    ) -> None:
        check_loading(batch_size=batch_size, workers=workers)
        self._per_step = max(batch_size // per_image, 1)
        check_places(
            shards=len(dataset.shards.counts),
            per_step=self._per_step,
            samples=len(dataset),
            world_size=world_size,
            readers=dataset.readers,
            where=str(dataset.shards.folder),
        )
        self.dataset = dataset
        self.bad = BadImages(dataset.name, len(dataset), max_bad=max_bad)
        self._own = stretch(len(dataset), self._per_step, rank, world_size)
        self._per_batch = self._per_step // world_size
        self._seed = seed
        self._prepared = Prepared(
            dataset, preprocess, Augmentation(image_size, crop_scale, flip), seed=seed, per_image=per_image
        )
        self._workers = workers
        self._together = together

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state sent to spawned readers, without the process group, which cannot be pickled."""
        return {**self.__dict__, "_together": None}

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, the same for every process."""
        return -(-len(self._own) // self._per_batch)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """This process's batches of one epoch from a step on.

        An unreadable picture is skipped, which makes its batch smaller; the number of batches stays.

        Args:
            number: the epoch, counted from 0.
            start_step: the first batch wanted, in [0, steps_per_epoch].

        Raises:
            DataError: a shard is damaged or not as sizes.json says, or too many pictures are unreadable.
        """
        if not 0 <= start_step <= self.steps_per_epoch:
            raise ValueError(f"start_step must be in [0, {self.steps_per_epoch}]. Got {start_step}.")
        reading = self._read(number, start_step)
        for step in range(start_step, self.steps_per_epoch):
            own: list[Batch | None] = []

            def read_here(own: list[Batch | None] = own) -> tuple[int, list[tuple[int, str]]]:
                batch, failed = next(reading)
                own.append(batch)
                return 0 if batch is None else len(batch), failed

            found = self._together(read_here)
            if any(failed for _, failed in found):
                self._together(partial(self._count, found, step))
            (batch,) = own
            assert batch is not None
            yield batch if len(found) == 1 else replace(batch, sizes=tuple(rows for rows, _ in found))

    def _count(self, found: Sequence[tuple[int, list[tuple[int, str]]]], step: int) -> None:
        """Counts what was unreadable in a step, in whichever process; a process without a picture has no part."""
        for rows, failed in found:
            for index, message in failed:
                self.bad.add(index, ImageError(message))
            if not rows:
                raise DataError(
                    f"every process must have a readable picture in each step. In step {step} of "
                    f"'{self.dataset.name}' one has none: {failed[0][1]} Repair the data, or give larger batches."
                )

    def _read(self, epoch: int, start_step: int) -> Iterator[Read]:
        readers = self.dataset.readers
        if readers == 0:
            yield from self._of_reader(epoch, start_step, 0, 1)
            return
        lanes = _Lanes(partial(self._of_reader, epoch, start_step), readers, start_step)
        loader = DataLoader(
            lanes,
            batch_size=None,
            num_workers=readers,
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # of one item, where there is no batch
            generator=torch.Generator(),  # else it draws from torch's, which is the caller's
            worker_init_fn=begin_reader,
        )
        for found in read_by_processes(loader, self.dataset.name):
            if isinstance(found, DataError):
                raise found
            yield found

    def _of_reader(self, epoch: int, start_step: int, reader: int, readers: int) -> Iterator[Read]:
        """The batches of one reader from a step of the process on."""
        from webdataset import filters

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
            yield self._prepared.batch(results)


class _Lanes(IterableDataset[Read | DataError]):
    """What each worker of a DataLoader reads: the loader takes them in turn, the first one's batch first."""

    def __init__(
        self, of_reader: Callable[[int, int], Iterator[Read]], readers: int, start_step: int
    ) -> None:
        self._of_reader, self._readers, self._start_step = of_reader, readers, start_step

    def __iter__(self) -> Iterator[Read | DataError]:
        worker = get_worker_info()
        assert worker is not None
        try:
            yield from self._of_reader((worker.id + self._start_step) % self._readers, self._readers)
        except (
            DataError
        ) as error:  # raised in a worker, it would come out with the worker's traceback as its message
            yield error


def _groups(samples: Iterator[Streamed], size: int) -> Iterator[list[Streamed]]:
    while group := list(islice(samples, size)):
        yield group


def _as_it_is(item: Read) -> Read:
    return item
