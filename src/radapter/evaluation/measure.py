"""What is common to all tasks: a set is observed batch by batch at the weights of a moment, then summed up."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from radapter.errors import DataError
from radapter.evaluation.metrics import Metrics
from radapter.zeroshot import HasModules, evaluating

Progress = Callable[[str, int], None]
"""Called with a set's name and the number of images just done."""


class Measure(Protocol):
    """How one set is measured, whatever its task: `ClassificationMeasure` is one.

    batches: the set; each has `pixels`, (B, 3, H, W). prepare: what all batches need at the present weights, such
    as a head or the features of every caption; measures that share the callable share its result.
    """

    @property
    def batches(self) -> Iterable[Any]:
        """The set, once a pass."""

    @property
    def prepare(self) -> Callable[[], Any]:
        """Called once for the weights of a moment."""

    def truth(self, batch: Any) -> Any:
        """What is kept of a batch for `metrics`; no pixels."""

    def observe(self, prepared: Any, batch: Any) -> Tensor:
        """What the model says of a batch at the present weights; kept, so it should be small."""

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Told what the zero-shot model, alpha 0, says of the whole set where that is computed."""

    def metrics(self, prepared: Any, observed: Sequence[Tensor], truths: Sequence[Any]) -> Metrics:
        """The figures of the whole set."""


@torch.no_grad()
def measured(
    model: HasModules, measure: Measure, *, name: str = "set", progress: Progress | None = None
) -> Metrics:
    """The metrics of one set, in evaluation mode, at the weights the model has.

    Args:
        model: what the measure reads; it is left in the mode it was in.
        measure: of the set, decoded as it is read.
        name: what progress and errors call the set.
        progress: told of each batch.

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
                progress(name, len(batch.pixels))
        if not truths:
            raise DataError(f"data set must hold an image. '{name}' holds none.")
        return measure.metrics(prepared, observed, truths)
