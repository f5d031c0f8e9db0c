"""One learning rate for each training, from one grid common to all, by ID validation alone.

No method gets a larger grid than another, and nothing here reads a test set.
"""

from collections.abc import Mapping, Sequence

from radapter.errors import ConfigError
from radapter.evaluation import Metrics
from radapter.methods import METHODS, Method
from radapter.protocol.trainings import Trainings
from radapter.protocol.validation import better

Search = dict[str, dict[float, Metrics]]
"""Training -> learning rate -> metrics on ID validation at alpha 1."""


def search_learning_rates(
    methods: Sequence[Method], trainings: Trainings, *, grid: Sequence[float], seed: int
) -> Search:
    """Trains every method at every learning rate; methods that share a training are trained once.

    Args:
        methods: rows of `METHODS`; those that train nothing are left out.
        trainings: does them, and keeps them.
        grid: peak learning rates.
        seed: of every training.

    Raises:
        ConfigError: the suite has no ID validation, or the grid is empty.
    """
    if not grid:
        raise ConfigError("grid must hold at least one learning rate. Got none.")
    names = dict.fromkeys(method.runs for method in methods if method.build is not None)
    return {name: {rate: trainings.validated(METHODS[name], rate, seed) for rate in grid} for name in names}


def best_rates(search: Mapping[str, Mapping[float, Metrics]]) -> dict[str, float]:
    """The rate of each training with the best top-1 on ID validation; the lower NLL decides between equals."""
    best = {}
    for name, rates in search.items():
        best[name] = next(iter(rates))
        for rate, found in rates.items():
            if better(found, rates[best[name]]):
                best[name] = rate
    return best
