"""Evaluation: metrics of matrices, sets of labelled images, and every alpha between two models.

Reading order: `metrics`, `classification`, `interpolation`, `sweep`.
"""

from radapter.evaluation.classification import evaluate_classification, zero_shot_logits
from radapter.evaluation.interpolation import Interpolation
from radapter.evaluation.metrics import (
    Metrics,
    classification_metrics,
    forgetting,
    harmonic_mean,
    mean_over_sets,
)
from radapter.evaluation.sweep import ALPHAS, alpha_sweep, smallest_within_one_standard_error

__all__ = [
    "ALPHAS",
    "Interpolation",
    "Metrics",
    "alpha_sweep",
    "classification_metrics",
    "evaluate_classification",
    "forgetting",
    "harmonic_mean",
    "mean_over_sets",
    "smallest_within_one_standard_error",
    "zero_shot_logits",
]
