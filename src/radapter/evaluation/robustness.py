"""Effective and relative robustness: is a model better under shift than its accuracy alone explains?

Source: Taori et al., "Measuring robustness to natural distribution shifts in image classification", NeurIPS 2020.
Over standard models, accuracy under shift follows accuracy in distribution, linearly in logits:

    beta(id) = expit(slope logit(id) + intercept),  logit(a) = ln(a / (1 - a)), a clipped to [CLIP, 1 - CLIP]

    effective robustness = ood - beta(id)           above the line of the standard models
    relative robustness = ood_tuned - ood_base      gained under shift by an intervention
"""

import csv
import dataclasses
import math
import os
from collections.abc import Sequence
from statistics import linear_regression
from typing import final

from radapter.errors import DataError
from radapter.given_files import text_lines

CLIP = 1e-4
"""The smallest distance of an accuracy from 0 and 1: a hundredth of a percent."""

COLUMNS = ("model", "id", "ood")


@final
@dataclasses.dataclass(frozen=True)
class Baseline:
    """The line of the standard models, slope and intercept in logits, and the number of models."""

    slope: float
    intercept: float
    models: int

    def at(self, id_accuracy: float) -> float:
        """The accuracy under shift that a standard model of this accuracy would have; [0, 1] -> (0, 1)."""
        return 1 / (1 + math.exp(-(self.slope * _logit(id_accuracy) + self.intercept)))


def fit_baseline(accuracies: Sequence[tuple[float, float]]) -> Baseline:
    """Fits the line by least squares in logits to (in distribution, under shift) of each model, fractions. Raises
    DataError if there are not two accuracies in distribution, or an accuracy is outside [0, 1]."""
    id_logits = [_logit(id_accuracy) for id_accuracy, _ in accuracies]
    if len(set(id_logits)) < 2:
        raise DataError(
            "a line needs standard models of at least two accuracies in distribution. Got "
            f"{len(accuracies)} models: {list(accuracies)[:3]}. Add models."
        )
    slope, intercept = linear_regression(id_logits, [_logit(ood) for _, ood in accuracies])
    return Baseline(slope, intercept, len(accuracies))


def effective_robustness(baseline: Baseline, *, id_accuracy: float, ood_accuracy: float) -> float:
    """ood - beta(id), fractions; positive is above the line of the standard models."""
    return _checked(ood_accuracy) - baseline.at(id_accuracy)


def relative_robustness(*, tuned: float, base: float) -> float:
    """Accuracy under shift after an intervention minus that before it, fractions."""
    return _checked(tuned) - _checked(base)


def read_standard_models(path: str | os.PathLike[str]) -> dict[str, tuple[float, float]]:
    """Reads model -> (accuracy in distribution, accuracy under shift), fractions, from a UTF-8 CSV with the columns
    model, id and ood; others are ignored. If one accuracy is above 1, the whole file is in percent.

    Raises DataError if the file or a column is missing, a model occurs twice, or a cell is no accuracy.
    """
    try:
        rows = list(csv.DictReader(text_lines(path), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"standard models must be a UTF-8 CSV file. '{path}': {error}.") from error
    found: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows, start=1):
        model, id_cell, ood_cell = (row.get(column) for column in COLUMNS)
        try:
            accuracies = float(id_cell or ""), float(ood_cell or "")
        except ValueError as error:
            raise DataError(
                f"every row must have the columns {', '.join(COLUMNS)}, the last two numbers. Row {number} of "
                f"'{path}' has {row}. Correct or remove it."
            ) from error
        if not model or model in found:
            raise DataError(
                f"model names must not be empty or repeated. Row {number} of '{path}' has {model!r}. Rename or "
                "remove it."
            )
        found[model] = accuracies
    top = 100 if any(accuracy > 1 for accuracies in found.values() for accuracy in accuracies) else 1
    for model, accuracies in found.items():
        if not all(0 <= accuracy <= top for accuracy in accuracies):
            unit = "percent, since one is above 1" if top == 100 else "fractions"
            raise DataError(
                f"accuracies must be in [0, {top}] ({unit}). '{model}' in '{path}' has {accuracies}. Correct it."
            )
    return {model: (in_dist / top, shifted / top) for model, (in_dist, shifted) in found.items()}


def _logit(accuracy: float) -> float:
    clipped = min(max(_checked(accuracy), CLIP), 1 - CLIP)
    return math.log(clipped / (1 - clipped))


def _checked(accuracy: float) -> float:
    if not 0 <= accuracy <= 1:
        raise DataError(f"accuracy must be a fraction in [0, 1]. Got {accuracy}. Divide percent by 100.")
    return accuracy
