"""A data set in order, decoded once where memory allows."""

from collections.abc import Iterator, Mapping
from typing import final

from torch import Tensor

from radapter.data.in_threads import in_threads
from radapter.data.loading.batch import (
    Batch,
    ImageSet,
    Preprocess,
    batch_of,
    check_loading,
    count_bad,
    grouped,
)
from radapter.data.memory import Lease, Memory
from radapter.data.pictures.bad_images import MAX_BAD, BadImages
from radapter.data.splits import Progress
from radapter.errors import DataError, ImageError
from radapter.processes import ALONE, Processes


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
            count_bad(self.bad, results)
            batch = batch_of(self.dataset, results)
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
        groups = grouped(list(range(len(self.dataset))), self._batch_size)
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
    processes.everywhere(lambda: count_bad(bad, others))


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
