"""How each metric of a task is called and shown in tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from radapter.task_list import OfEachTask


@final
@dataclass(frozen=True)
class Shown:
    """How a metric is shown.

    Attributes:
        title: what a table of it is called.
        scale: it is multiplied by it; 100 makes percent.
        decimals: after rounding.
        lower_is_better: whether the smallest value is the best.
    """

    title: str
    scale: float = 100.0
    decimals: int = 1
    lower_is_better: bool = False

    def rounded(self, value: float) -> float:
        """The number that is shown."""
        return round(self.scale * value, self.decimals) + 0.0  # -0.0 + 0.0 is 0.0

    def text(self, value: float, *, sign: bool = False) -> str:
        """The number as text; `sign` puts a plus before what is gained."""
        return f"{self.rounded(value):{'+' if sign else ''}.{self.decimals}f}"

    def score(self, value: float) -> float:
        """More is better; what looks equal is equal."""
        return -self.rounded(value) if self.lower_is_better else self.rounded(value)


METRICS: Mapping[str, Mapping[str, Shown]] = OfEachTask("metrics")
"""How each metric of a task is shown; the first is the task's figure, as a share of its largest value."""

BESIDE: Mapping[str, Mapping[str, str]] = OfEachTask("metrics_beside")
"""Metrics whose means over ID and over OOD sets stand beside those of the task's figure, and their headers."""

SHARED: Mapping[str, Mapping[str, str]] = OfEachTask("shared_metrics")
"""Metrics that are the same for every method, and what they are called."""


def shown_as(task: str, metric: str) -> Shown:
    """How a metric is shown; one without a name of its own is a fraction under the name it has."""
    return METRICS[task].get(metric, Shown(metric))
