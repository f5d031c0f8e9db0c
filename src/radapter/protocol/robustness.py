"""Effective and relative robustness of every method of a comparison, seed by seed.

    effective = OOD mean - what standard models of the same ID accuracy have under shift
    relative  = OOD mean - OOD mean of the zero-shot model

Source: Taori et al., NeurIPS 2020; the line of the standard models is `evaluation.robustness`'s.
"""

from collections.abc import Sequence
from statistics import fmean, stdev

from radapter.errors import ConfigError
from radapter.evaluation import Baseline, effective_robustness, relative_robustness
from radapter.protocol.results import Results


def robustness(results: Sequence[Results], standard: Baseline) -> dict[str, dict[str, float]]:
    """Both robustnesses of each row, zero-shot's included.

    Args:
        results: of the same comparison, one per seed.
        standard: the line of the standard models.

    Returns:
        Method -> "effective_robustness" and "relative_robustness", means over seeds as fractions; and from two
        seeds on their standard deviations, under the names with `_std`.

    Raises:
        ConfigError: there is no OOD set.
    """
    found = {}
    for method in (row.method for row in results[0].rows):
        pairs = [_of_row(one, method, standard) for one in results]
        both = zip(("effective_robustness", "relative_robustness"), zip(*pairs, strict=True), strict=True)
        found[method] = {
            key: value
            for name, values in both
            for key, value in (
                (name, fmean(values)),
                *([(f"{name}_std", stdev(values))] if len(values) > 1 else []),
            )
        }
    return found


def _of_row(one: Results, method: str, standard: Baseline) -> tuple[float, float]:
    row, zero_shot = one.row(method), one.row("zero-shot")
    if row.ood_mean is None or zero_shot.ood_mean is None:
        raise ConfigError("robustness is of OOD sets. Got none. Give data.ood.")
    return (
        effective_robustness(standard, id_accuracy=row.id_mean, ood_accuracy=row.ood_mean),
        relative_robustness(tuned=row.ood_mean, base=zero_shot.ood_mean),
    )
