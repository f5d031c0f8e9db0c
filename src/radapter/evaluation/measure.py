"""Steps common to all tasks: a set is observed batch by batch at the current weights, then summarised."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from radapter.evaluation.metrics import Metrics

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
