"""Effective and relative robustness of every method of a comparison, seed by seed.

    effective = OOD mean - what standard models of the same ID accuracy have under shift
    relative  = OOD mean - OOD mean of the zero-shot model

Source: Taori et al., NeurIPS 2020; the line of the standard models is `evaluation.robustness`'s.
"""

from collections.abc import Sequence
from statistics import fmean, stdev

from radapter.errors import ConfigError
from radapter.evaluation import Baseline, effective_robustness, relative_robustness
from radapter.runs.results import Results, Robustness, Value


def robustness(results: Sequence[Results], standard: Baseline) -> dict[str, Robustness]:
    """Both robustnesses of each row, zero-shot's included.

    Args:
        results: of the same comparison, one per seed.
        standard: the line of the standard models.

    Returns:
        Method -> robustness as fractions, means and from two seeds on standard deviations.

    Raises:
        ConfigError: there is no OOD set.
    """
    found = {}
    for method in (row.method for row in results[0].rows):
        effective, relative = zip(*(_of_row(one, method, standard) for one in results), strict=True)
        found[method] = Robustness(effective=_over_seeds(effective), relative=_over_seeds(relative))
    return found


def _over_seeds(each: Sequence[float]) -> Value:
    return Value(mean=fmean(each), std=stdev(each) if len(each) > 1 else None)


def _of_row(one: Results, method: str, standard: Baseline) -> tuple[float, float]:
    row, zero_shot = one.row(method), one.row("zero-shot")
    if row.ood_mean is None or zero_shot.ood_mean is None:
        raise ConfigError("robustness is of OOD sets. Got none. Give data.ood.")
    return (
        effective_robustness(standard, id_accuracy=row.id_mean, ood_accuracy=row.ood_mean),
        relative_robustness(tuned=row.ood_mean, base=zero_shot.ood_mean),
    )
