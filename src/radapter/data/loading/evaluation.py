"""A data set in order, decoded once if memory allows."""

from collections.abc import Iterator
from typing import final

from torch import Tensor

from radapter.data.in_threads import in_threads
from radapter.data.loading import (
    Batch,
    ImageSet,
    Preprocess,
    batch_of,
    check_loading,
    count_bad,
    grouped,
    meet,
)
from radapter.data.memory import Lease, Memory
from radapter.data.pictures.bad_images import MAX_BAD, BadImages
from radapter.data.splits import Progress
from radapter.errors import DataError
from radapter.processes import ALONE, Processes


@final
class EvalLoader:
    """A data set in order, preprocessed once and replayed from then on if the memory budget allows.

    Args:
        dataset: The samples.
        preprocess: Image to tensor.
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

    def __len__(self) -> int:
        """Batches in a pass of this process, counting those in which every image turns out to be unreadable."""
        return len(self._groups())

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
        fresh: list[Batch] | None = None
        fits: bool | None = None
        groups = self._groups()
        for results in in_threads(groups, self._one, self._workers):
            count_bad(self.bad, results)
            batch = batch_of(self.dataset, results)
            if batch is None:
                continue
            if fits is None:  # all images are as large as the first
                fits = lease.take(batch.pixels[0].nbytes * sum(map(len, groups)))
                fresh = [] if fits else None
            if fresh is not None:
                fresh.append(batch)
            yield batch
        if fresh is not None:
            self._kept, self._lease = fresh, lease

    def _groups(self) -> list[list[int]]:
        groups = grouped(list(range(len(self.dataset))), self._batch_size)
        return [groups[number] for number in self._processes.share(len(groups))]

    def _one(self, index: int) -> Tensor:
        return self._preprocess(self.dataset.image(index))
