"""The title, scale and decimals of each metric in tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from radapter.task_list import OfEachTask


@final
@dataclass(frozen=True)
class Shown:
    """How a metric is shown: the title of its table, the factor that it is multiplied by (100 gives percent), the
    number of decimals, and whether the smallest value is the best."""

    title: str
    scale: float = 100.0
    decimals: int = 1
    lower_is_better: bool = False

    def rounded(self, value: float) -> float:
        """The number that is shown."""
        return round(self.scale * value, self.decimals) + 0.0  # -0.0 + 0.0 is 0.0

    def text(self, value: float, *, sign: bool = False) -> str:
        """The number as text; `sign` puts a plus before a gain."""
        return f"{self.rounded(value):{'+' if sign else ''}.{self.decimals}f}"

    def score(self, value: float) -> float:
        """The rounded number, negative if lower is better; values that are shown as equal are equal."""
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
