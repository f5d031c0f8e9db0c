"""What is common to all tasks: a set is observed batch by batch at the weights of a moment, then summed up."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from radapter.errors import DataError
from radapter.evaluation.metrics import Metrics
from radapter.processes import ALONE, Processes
from radapter.zeroshot import HasModules, evaluating

Progress = Callable[[str, int], None]
"""Called with a set's name and the number of images just done."""


class Measured(NamedTuple):
    """What one set gives at the weights of a moment.

    Attributes:
        metrics: the figures of the whole set.
        pseudo_values: jackknife pseudo-values of the task's score, (N,), float32, in the set's order of images;
            see `jackknife`. Two models are compared on the same images by them.
    """

    metrics: Metrics
    pseudo_values: Tensor


class Measure(Protocol):
    """How one set is measured, whatever its task: `ClassificationMeasure` is one.

    batches: the set, or of several processes this one's share, so that theirs by rank are the set; each has
    `pixels`, (B, 3, H, W). prepare: what all batches need at the present weights, such as a head or the features of
    every caption; measures that share the callable share its result.
    """

    @property
    def batches(self) -> Iterable[Any]:
        """The set, once a pass."""

    @property
    def prepare(self) -> Callable[[], Any]:
        """Called once for the weights of a moment."""

    def count(self, batch: Any) -> int:
        """How many images a batch has."""

    def truth(self, batch: Any) -> Any:
        """What is kept of a batch for `summarise`; no pixels."""

    def observe(self, prepared: Any, batch: Any) -> Tensor:
        """What the model says of a batch at the present weights; kept, so it should be small."""

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Told in the main process what the zero-shot model, alpha 0, says of the whole set where it is computed."""

    def summarise(self, prepared: Any, observed: Sequence[Tensor], truths: Sequence[Any]) -> Measured:
        """The figures of the whole set, and what each image contributes to the score."""


@torch.no_grad()
def measured(
    model: HasModules,
    measure: Measure,
    *,
    name: str = "set",
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> Measured:
    """Measures one set, in evaluation mode, at the weights the model has.

    Args:
        model: what the measure reads; it is left in the mode it was in.
        measure: of the set, decoded as it is read.
        name: what progress and errors call the set.
        progress: told of each batch.
        processes: each observes its share of the batches; the main one computes the metrics, and all get them.

    Raises:
        DataError: there is no image.
    """
    observed, truths = [], []
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
    """The measure of a whole set, computed where it is whole, in the main process, and had by all.

    Raises:
        DataError: there is no image.
    """

    def summary() -> Measured:
        if not truths:
            raise DataError(f"data set must hold an image. '{name}' holds none.")
        return measure.summarise(prepared, observed, truths)

    return processes.on_main(summary)
