"""One learning rate for each training, from one grid common to all, by ID validation alone.

No method gets a larger grid than another, and nothing here reads a test set.
"""

from collections.abc import Mapping, Sequence

from radapter.errors import ConfigError
from radapter.evaluation import Headline, Metrics
from radapter.methods import Method, find_method
from radapter.protocol.trainings import Trainings

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
    task = trainings.task(seed)
    names = dict.fromkeys(method.runs for method in methods if method.build is not None)
    return {
        name: {rate: trainings.validated(find_method(name, task), rate, seed).metrics for rate in grid}
        for name in names
    }


def best_rates(search: Mapping[str, Mapping[float, Metrics]], headline: Headline) -> dict[str, float]:
    """The rate of each training that is best on ID validation by the task's figure and its tie-breaker."""
    best = {}
    for name, rates in search.items():
        best[name] = next(iter(rates))
        for rate, found in rates.items():
            if headline.is_better(found, rates[best[name]]):
                best[name] = rate
    return best
