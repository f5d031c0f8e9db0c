"""Several methods, several seeds, learning rates by search: `radapter compare` and the tables of `benchmarks/`."""

from collections.abc import Sequence
from dataclasses import dataclass

from radapter.methods import Method, find_method
from radapter.protocol.comparison import compare
from radapter.protocol.levels import Levels
from radapter.protocol.reading_levels import PseudoValues, levels_over_seeds
from radapter.protocol.results import Results
from radapter.protocol.search import Grids, Search, search_learning_rates
from radapter.protocol.trainings import Trainings


@dataclass(frozen=True)
class Study:
    """What a comparison reports.

    Attributes:
        search: training -> its learning rates, how they did on ID validation at alpha 1, and the chosen one.
        results: one per seed.
        levels: OOD at fixed ID levels; None without OOD sets, or where nothing was trained.
    """

    search: Search
    results: list[Results]
    levels: Levels | None = None

    @property
    def learning_rates(self) -> dict[str, float]:
        """Training -> the chosen rate."""
        return {name: found.chosen for name, found in self.search.items()}


def study(methods: Sequence[Method], trainings: Trainings, *, grids: Grids, seeds: Sequence[int]) -> Study:
    """Searches learning rates on the first seed, then compares the methods on all seeds.

    Weights that lost the search are removed as soon as it is over, unless a soup needs them.

    Args:
        methods: rows of the task's table.
        trainings: does them, and keeps them.
        grids: the learning rates of each training; see `rate_grids`.
        seeds: of the comparison; the first one's best training is not done again.

    Raises:
        ConfigError: the suite has no ID validation.
        DivergedError: a training diverged at each of its rates, or at the chosen one on a later seed.
    """
    first = seeds[0]
    search = search_learning_rates(trainings, grids=grids, seed=first)
    task = trainings.task(first)
    mixed = {method.runs for method in methods if method.averages}
    for name, found in search.items():
        for rate in found.found:
            if name not in mixed and rate != found.chosen:
                trainings.forget(find_method(name, task), rate, first)
    chosen = {name: found.chosen for name, found in search.items()}
    results, values = [], []
    for seed in seeds:
        of_seed: dict[str, PseudoValues] = {}
        results.append(
            compare(methods, trainings, seed=seed, learning_rates=chosen, grids=grids, pseudo_values=of_seed)
        )
        values.append(of_seed)
    return Study(search, results, levels_over_seeds(results, values))
