"""Several methods, several seeds, one grid of learning rates: `radapter compare` and the tables of `benchmarks/`."""

from collections.abc import Sequence
from dataclasses import dataclass

from radapter.evaluation import HEADLINES
from radapter.methods import Method, find_method
from radapter.protocol.comparison import compare
from radapter.protocol.results import Results
from radapter.protocol.search import Search, best_rates, search_learning_rates
from radapter.protocol.trainings import Trainings


@dataclass(frozen=True)
class Study:
    """What a comparison reports.

    Attributes:
        search: training -> learning rate -> metrics on ID validation at alpha 1.
        learning_rates: training -> the best of its grid.
        results: one per seed.
    """

    search: Search
    learning_rates: dict[str, float]
    results: list[Results]


def study(
    methods: Sequence[Method],
    trainings: Trainings,
    *,
    grid: Sequence[float],
    search_seed: int,
    seeds: Sequence[int],
) -> Study:
    """Searches learning rates on one seed, then compares the methods on all seeds.

    Weights that lost the search are removed as soon as it is over, unless a soup needs them.

    Args:
        methods: rows of the task's table.
        trainings: does them, and keeps them.
        grid: learning rates, the same for every method.
        search_seed: of the search; where it is one of `seeds`, its best training is not done again.
        seeds: of the comparison.

    Raises:
        ConfigError: the suite has no ID validation.
    """
    search = search_learning_rates(methods, trainings, grid=grid, seed=search_seed)
    task = trainings.task(search_seed)
    best = best_rates(search, HEADLINES[task])
    mixed = {method.runs for method in methods if method.averages}
    for name, rates in search.items():
        needed = set(grid if name in mixed else [best[name]]) if search_seed in seeds else set()
        for rate in rates.keys() - needed:
            trainings.forget(find_method(name, task), rate, search_seed)
    results = [compare(methods, trainings, seed=seed, learning_rates=best, grid=grid) for seed in seeds]
    return Study(search, best, results)
