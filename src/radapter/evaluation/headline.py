"""The score of each task, which is averaged over sets, compared and used to choose: a fraction, more is better."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, final

from pydantic import AfterValidator

from radapter.errors import did_you_mean
from radapter.evaluation.metrics import Metrics
from radapter.task_list import TASKS, OfEachTask


def _listed(name: str) -> str:
    if name not in TASKS:
        raise ValueError(f"must be one of {', '.join(TASKS)}.{did_you_mean(name, TASKS)}")
    return name


TaskName = Annotated[str, AfterValidator(_listed)]
"""The name of a task; pydantic checks it."""


@final
@dataclass(frozen=True)
class Headline:
    """How a task's score is read from the metrics of a set: a metric, its label, and its largest value, by which
    it is divided.

    `tie` is a metric whose lower value decides between equal scores; `paper_alpha` is alpha in the paper's
    experiments of this task. `parts` are metrics reported set by set beside the score, with their spread.
    """

    metric: str
    label: str
    most: float
    tie: str
    paper_alpha: float
    parts: tuple[str, ...] = ()

    def score(self, metrics: Metrics) -> float:
        """The score of one set, in [0, 1]."""
        return metrics[self.metric] / self.most

    def is_better(self, found: Metrics, than: Metrics | None) -> bool:
        """Whether `found` is better than `than` by the score, then by the lower tie-breaker."""
        return than is None or (self.score(found), -found[self.tie]) > (self.score(than), -than[self.tie])

    def mean(self, sets: Mapping[str, Metrics]) -> float:
        """The mean of the score over sets, all with equal weight. Raises ValueError if there is no set."""
        if not sets:
            raise ValueError("sets must hold at least one set. Got none.")
        return fmean(self.score(metrics) for metrics in sets.values())

    def forgetting(self, zero_shot: Mapping[str, Metrics], tuned: Mapping[str, Metrics]) -> dict[str, float]:
        """The score of the zero-shot model minus that of the tuned model, by set; positive is forgotten, negative is
        gained. Raises ValueError if the sets differ."""
        if zero_shot.keys() != tuned.keys():
            only = sorted(zero_shot.keys() ^ tuned.keys())
            raise ValueError(f"zero_shot and tuned must hold the same sets. Only one of them has {only}.")
        return {name: self.score(zero_shot[name]) - self.score(tuned[name]) for name in zero_shot}


HEADLINES: Mapping[str, Headline] = OfEachTask("headline")
"""The headline of each task."""
