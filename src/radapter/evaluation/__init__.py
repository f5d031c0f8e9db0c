"""Evaluation: metrics of matrices, sets of labelled images, and every alpha between two models.

Reading order: `metrics`, `classification`, `interpolation`, `sweep`; `robustness` compares accuracies of sets.
"""

from radapter.evaluation.classification import evaluate_classification, zero_shot_logits
from radapter.evaluation.interpolation import Interpolation
from radapter.evaluation.metrics import (
    Metrics,
    agreement,
    classification_metrics,
    forgetting,
    harmonic_mean,
    mean_over_sets,
)
from radapter.evaluation.robustness import (
    Baseline,
    effective_robustness,
    fit_baseline,
    read_standard_models,
    relative_robustness,
)
from radapter.evaluation.sweep import ALPHAS, alpha_sweep, smallest_within_one_standard_error

__all__ = [
    "ALPHAS",
    "Baseline",
    "Interpolation",
    "Metrics",
    "agreement",
    "alpha_sweep",
    "classification_metrics",
    "effective_robustness",
    "evaluate_classification",
    "fit_baseline",
    "forgetting",
    "harmonic_mean",
    "mean_over_sets",
    "read_standard_models",
    "relative_robustness",
    "smallest_within_one_standard_error",
    "zero_shot_logits",
]
