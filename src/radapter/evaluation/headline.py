"""The score of each task, which is averaged over sets, compared and used to choose: a fraction, more is better."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, final

from radapter.evaluation.metrics import Metrics

TaskName = Literal["classification", "retrieval", "segmentation"]


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


HEADLINES: dict[TaskName, Headline] = {
    "classification": Headline("top1", "top-1", 1.0, "nll", 0.5),
    "retrieval": Headline(
        "rsum",
        "rsum / 6",
        6.0,
        "t2i_mean_rank",
        0.8,
        ("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10"),
    ),
    "segmentation": Headline(
        "miou",
        "mIoU",
        1.0,
        "pixel_error",
        0.4,
        ("true_masks_miou", "true_classes_miou", "miou_seen", "miou_unseen", "miou_harmonic", "miou_ovseg"),
    ),
}
