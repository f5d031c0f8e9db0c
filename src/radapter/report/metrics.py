"""The title, scale and decimals of each metric in tables."""

from dataclasses import dataclass
from typing import final

from radapter.evaluation import TaskName


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


METRICS: dict[TaskName, dict[str, Shown]] = {
    "classification": {
        "top1": Shown("Top-1 accuracy in %"),
        "top5": Shown("Top-5 accuracy in %"),
        "mean_per_class": Shown("Mean per-class accuracy in %"),
        "macro_f1": Shown("Macro F1 in %"),
        "worst_group": Shown("Worst-group accuracy in %"),
        "agreement": Shown("Agreement with zero-shot in %"),
        "ece": Shown("Expected calibration error in %", lower_is_better=True),
        "brier": Shown("Brier score in %", lower_is_better=True),
        "nll": Shown("Negative log-likelihood in nats", 1.0, 2, lower_is_better=True),
    },
    "retrieval": {
        "rsum": Shown("rsum / 6, the mean of six recalls, in %"),
        "i2t_r1": Shown("Image-to-text recall at 1 in %"),
        "i2t_r5": Shown("Image-to-text recall at 5 in %"),
        "i2t_r10": Shown("Image-to-text recall at 10 in %"),
        "t2i_r1": Shown("Text-to-image recall at 1 in %"),
        "t2i_r5": Shown("Text-to-image recall at 5 in %"),
        "t2i_r10": Shown("Text-to-image recall at 10 in %"),
        "i2t_map_at_r": Shown("Image-to-text mAP@R in %"),
        "t2i_map_at_r": Shown("Text-to-image mAP@R in %"),
        "i2t_median_rank": Shown("Image-to-text median rank", 1.0, lower_is_better=True),
        "i2t_mean_rank": Shown("Image-to-text mean rank", 1.0, lower_is_better=True),
        "t2i_median_rank": Shown("Text-to-image median rank", 1.0, lower_is_better=True),
        "t2i_mean_rank": Shown("Text-to-image mean rank", 1.0, lower_is_better=True),
    },
    "segmentation": {
        "miou": Shown("mIoU in %, detectron2's convention: the mean over classes present in the truth"),
        "miou_ovseg": Shown("mIoU in %, OVSeg's convention: absent but predicted classes count as 0"),
        "miou_seen": Shown("mIoU of trained classes in %, detectron2's convention"),
        "miou_unseen": Shown("mIoU of classes left out of training in %, detectron2's convention"),
        "miou_harmonic": Shown("Harmonic mean of both classes' mIoU in %, detectron2's convention"),
        "true_masks_miou": Shown("mIoU in % of the true masks under CLIP, detectron2's convention"),
        "true_classes_miou": Shown(
            "mIoU in % of the proposals under their true classes, detectron2's convention"
        ),
        "fwiou": Shown("Frequency-weighted IoU in %"),
        "mean_accuracy": Shown("Mean class accuracy in %"),
        "pixel_accuracy": Shown("Pixel accuracy in %"),
        "region_top1": Shown("Share of true regions that are named rightly in %"),
    },
}
"""How each metric of a task is shown; the first is the task's figure, as a share of its largest value."""

BESIDE: dict[TaskName, dict[str, str]] = {
    "classification": {},
    "retrieval": {"i2t_r1": "I2T R@1", "t2i_r1": "T2I R@1"},
    "segmentation": {"true_masks_miou": "true masks"},
}
"""Metrics whose means over ID and over OOD sets stand beside those of the task's figure, and their headers."""

SHARED: dict[TaskName, dict[str, str]] = {
    "classification": {},
    "retrieval": {},
    "segmentation": {"true_classes_miou": "proposals, true classes"},
}
"""Metrics that are the same for every method, and what they are called."""


def shown_as(task: TaskName, metric: str) -> Shown:
    """How a metric is shown; one without a name of its own is a fraction under the name it has."""
    return METRICS[task].get(metric, Shown(metric))
