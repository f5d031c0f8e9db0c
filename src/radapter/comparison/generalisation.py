"""Base-to-novel generalisation, over several data sets or seeds.

A run trains on the base classes of a data set. Its ID test holds other images of the base classes, its transfer sets
those of the novel classes, each under a head of their own names. Papers average the harmonic mean H in two ways,
which differ: the mean of each run's H, and the H of the mean accuracies. Both are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import final

from radapter.errors import ConfigError
from radapter.evaluation import harmonic_mean
from radapter.runs.results import Results


@final
@dataclass(frozen=True)
class BaseToNovel:
    """Top-1 of one method over several runs, as fractions; `harmonic_of_means` is that of CoOp's tables."""

    runs: int
    base: float
    novel: float
    mean_of_harmonic: float
    harmonic_of_means: float


def base_to_novel(results: Sequence[Results], method: str) -> BaseToNovel:
    """Averages one method over several runs with the same weight; "zero-shot" is a method of every run.

    Raises ConfigError if there are no results, or one lacks the method or transfer sets.
    """
    if not results:
        raise ConfigError("base-to-novel needs the results of at least one run. Got none.")
    pairs = []
    for one in results:
        row = next((row for row in one.rows if row.method == method), None)
        if row is None:
            known = ", ".join(row.method for row in one.rows)
            raise ConfigError(f"method must be one of {known}, the rows of every run. Got '{method}'.")
        if row.kept is None:
            raise ConfigError(
                "base-to-novel needs the novel classes as data.transfer. A run of seed "
                f"{one.seed} on '{one.model}' has none. Give data.transfer, and train again."
            )
        pairs.append((row.id_mean, row.kept))
    base, novel = (fmean(accuracies) for accuracies in zip(*pairs, strict=True))
    return BaseToNovel(
        runs=len(pairs),
        base=base,
        novel=novel,
        mean_of_harmonic=fmean(harmonic_mean(*pair) for pair in pairs),
        harmonic_of_means=harmonic_mean(base, novel),
    )
