"""Evaluation: metrics of matrices, measures of sets, and every alpha between two models.

Reading order: `metrics`, `headline` (the score of a task), `jackknife` (each image's contribution, and two models on
the same images), `sweep`, `measures`, `robustness`.
Retrieval: `cosines`, `retrieval`, `features`, `eccv_caption`. Segmentation: `miou`.
"""

from radapter.evaluation.features import retrieval_features
from radapter.evaluation.headline import HEADLINES, Headline, TaskName
from radapter.evaluation.jackknife import paired_standard_error, smallest_within_paired_error
from radapter.evaluation.measures import (
    ClassificationMeasure,
    RetrievalMeasure,
    SegmentationMeasure,
    alpha_sweep,
)
from radapter.evaluation.metrics import Metrics, classification_metrics, harmonic_mean
from radapter.evaluation.miou import (
    boundary_counts,
    boundary_iou,
    class_iou,
    confusion_matrix,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
    seen_unseen_iou,
    segmentation_metrics,
)
from radapter.evaluation.retrieval import (
    RetrievalRanks,
    positive_pairs,
    retrieval_map_at_r,
    retrieval_metrics,
    retrieval_metrics_over_folds,
    retrieval_ranks,
    retrieval_ranks_of_groups,
)
from radapter.evaluation.robustness import (
    Baseline,
    effective_robustness,
    fit_baseline,
    read_standard_models,
    relative_robustness,
)
from radapter.evaluation.sweep import (
    ALPHAS,
    AlphaPath,
    Answers,
    Interpolation,
    Measure,
    Measured,
    measured,
    sweep,
)

__all__ = [
    "ALPHAS", "HEADLINES", "AlphaPath", "Answers", "Baseline", "ClassificationMeasure", "Headline", "Interpolation",
    "Measure",
    "Measured", "Metrics", "RetrievalMeasure", "RetrievalRanks", "SegmentationMeasure", "TaskName",
    "alpha_sweep", "boundary_counts", "boundary_iou", "class_iou", "classification_metrics",
    "confusion_matrix", "effective_robustness", "fit_baseline", "harmonic_mean", "mean_accuracy",
    "mean_iou", "measured", "paired_standard_error", "pixel_accuracy", "positive_pairs",
    "read_standard_models", "relative_robustness", "retrieval_features", "retrieval_map_at_r",
    "retrieval_metrics", "retrieval_metrics_over_folds", "retrieval_ranks", "retrieval_ranks_of_groups",
    "seen_unseen_iou", "segmentation_metrics", "smallest_within_paired_error", "sweep",
]  # fmt: skip
