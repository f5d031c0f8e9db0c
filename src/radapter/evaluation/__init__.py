"""Evaluation: metrics of matrices, sets of labelled images, and every alpha between two models.

Reading order: `metrics`, `headline` (the figure that counts), `measure`, `classification`, `interpolation`,
`sweep`; `robustness` compares accuracies of sets.
Retrieval: `cosines`, `positives`, `retrieval`, `map_at_r`, `features`, `captioned` (the measure); `eccv_caption`
asks its authors' package.
"""

from radapter.evaluation.captioned import RetrievalMeasure
from radapter.evaluation.classification import (
    ClassificationMeasure,
    evaluate_classification,
    zero_shot_logits,
)
from radapter.evaluation.features import retrieval_features
from radapter.evaluation.headline import HEADLINES, Headline, TaskName
from radapter.evaluation.interpolation import Interpolation
from radapter.evaluation.map_at_r import retrieval_map_at_r
from radapter.evaluation.measure import Measure, measured
from radapter.evaluation.metrics import (
    Metrics,
    agreement,
    classification_metrics,
    harmonic_mean,
)
from radapter.evaluation.positives import positive_pairs
from radapter.evaluation.regions import SegmentationMeasure
from radapter.evaluation.retrieval import (
    RetrievalRanks,
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
    alpha_sweep,
    smallest_within,
    smallest_within_one_standard_error,
    sweep,
)

__all__ = [
    "ALPHAS",
    "HEADLINES",
    "Baseline",
    "ClassificationMeasure",
    "Headline",
    "Interpolation",
    "Measure",
    "Metrics",
    "RetrievalMeasure",
    "RetrievalRanks",
    "SegmentationMeasure",
    "TaskName",
    "agreement",
    "alpha_sweep",
    "classification_metrics",
    "effective_robustness",
    "evaluate_classification",
    "fit_baseline",
    "harmonic_mean",
    "measured",
    "positive_pairs",
    "read_standard_models",
    "relative_robustness",
    "retrieval_features",
    "retrieval_map_at_r",
    "retrieval_metrics",
    "retrieval_metrics_over_folds",
    "retrieval_ranks",
    "retrieval_ranks_of_groups",
    "smallest_within",
    "smallest_within_one_standard_error",
    "sweep",
    "zero_shot_logits",
]
