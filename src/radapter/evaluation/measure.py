"""Steps common to all tasks: a set is observed batch by batch at the current weights, then summarised."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from radapter.errors import DataError
from radapter.evaluation.metrics import Metrics
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.zeroshot import evaluating

Progress = Callable[[str, int], None]
"""Called with a set's name and the number of images just done."""


class Measured(NamedTuple):
    """The result of one set at the current weights.

    Attributes:
        metrics: The figures of the whole set.
        pseudo_values: Jackknife pseudo-values of the task's score, (N,), float32, in the set's order of images; see
            `jackknife`. They compare two models on the same images.
    """

    metrics: Metrics
    pseudo_values: Tensor


class Measure(Protocol):
    """How one set of a task is measured; `ClassificationMeasure` is an example.

    With several processes, `batches` is this process's share. Measures that share the callable `prepare` share its
    result.
    """

    @property
    def batches(self) -> Iterable[Any]:
        """The batches of the set; each has `pixels`, (B, 3, H, W)."""

    @property
    def prepare(self) -> Callable[[], Any]:
        """Returns what all batches need at the current weights, such as a head or the features of every caption."""

    def count(self, batch: Any) -> int:
        """B, the number of images of a batch."""

    def truth(self, batch: Any) -> Any:
        """What `summarise` needs of a batch beside the observations; no pixels."""

    def observe(self, prepared: Any, batch: Any) -> Tensor:
        """The model's output for a batch at the current weights. It is kept, so it should be small."""

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Receives, in the main process, the zero-shot model's observations of the whole set if they are
        computed.
        """

    def summarise(self, prepared: Any, observed: Sequence[Tensor], truths: Sequence[Any]) -> Measured:
        """The figures of the whole set, and each image's contribution to the score."""


@torch.no_grad()
def measured(
    model: DualEncoder,
    measure: Measure,
    *,
    name: str = "set",
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> Measured:
    """Measures one set, in evaluation mode, at the model's current weights.

    Args:
        model: Read by the measure; it is left in the mode it was in.
        measure: Of the set, decoded as it is read.
        name: Name of the set for progress and errors.
        progress: Called after each batch.
        processes: Each observes its share of the batches. The main one computes the metrics, and all receive them.

    Raises:
        DataError: There is no image.
    """
    observed, truths = [], []
    model.weights_changed()
    with evaluating(model):
        prepared = measure.prepare()
        for batch in measure.batches:
            observed.append(measure.observe(prepared, batch))
            truths.append(measure.truth(batch))
            if progress is not None:
                progress(name, measure.count(batch))
        observed, truths = joined(observed, processes), joined(truths, processes)
        return summary_of(measure, prepared, observed, truths, name=name, processes=processes)


def joined(share: list[Any], processes: Processes) -> list[Any]:
    """The shares of all processes as one list, in the main one; an empty list in the others."""
    return list(chain.from_iterable(processes.gather_on_main(share)))


def summary_of(
    measure: Measure,
    prepared: Any,
    observed: Sequence[Tensor],
    truths: Sequence[Any],
    *,
    name: str,
    processes: Processes,
) -> Measured:
    """The measure of a whole set, computed by the main process and received by all. Raises DataError if there is no
    image."""

    def summary() -> Measured:
        if not truths:
            raise DataError(f"data set must hold an image. '{name}' holds none.")
        return measure.summarise(prepared, observed, truths)

    return processes.on_main(summary)
