"""Several methods, several seeds, learning rates by search: `radapter compare` and the tables of `benchmarks/`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from radapter.comparison.learning_rates import Grids, Search, search_learning_rates
from radapter.comparison.levels_over_seeds import PseudoValues, levels_over_seeds
from radapter.comparison.one_seed import compare
from radapter.comparison.robustness import robustness
from radapter.comparison.summary import over_seeds
from radapter.comparison.training_store import Trainings
from radapter.errors import DivergedError
from radapter.evaluation import Baseline
from radapter.methods import Method, find_method
from radapter.runs.levels import Levels
from radapter.runs.results import Results


@dataclass(frozen=True)
class Study:
    """What a comparison reports.

    Attributes:
        search: training -> its learning rates, how they did on ID validation at alpha 1, and the chosen one.
        results: one per seed.
        levels: OOD at fixed ID levels; None without OOD sets, or where nothing was trained.
        diverged: method -> why it has no row: its training diverged at every rate, or at a seed.
    """

    search: Search
    results: list[Results]
    levels: Levels | None = None
    diverged: dict[str, str] = field(default_factory=dict)

    @property
    def learning_rates(self) -> dict[str, float]:
        """Training -> the chosen rate."""
        return {name: found.chosen for name, found in self.search.items()}

    def report(self, standard: Baseline | None = None) -> Results:
        """One result over all seeds, with the levels and the search.

        Args:
            standard: the line of standard models; rows then have their effective and relative robustness.

        Raises:
            ConfigError: robustness is asked for without OOD sets.
        """
        results = over_seeds(self.results) if len(self.results) > 1 else self.results[0]
        of_method = {} if standard is None else robustness(self.results, standard)
        rows = [row.model_copy(update={"robustness": of_method.get(row.method)}) for row in results.rows]
        return results.model_copy(
            update={
                "rows": rows,
                "levels": self.levels,
                "search": self.search,
                "diverged": self.diverged,
                "standard_models": standard,
            }
        )


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
        DivergedError: no method is left that did not diverge.
    """
    first = seeds[0]
    search: Search = {}
    diverged: dict[str, str] = {}
    for name, grid in grids.items():
        try:
            search |= search_learning_rates(trainings, grids={name: grid}, seed=first)
        except DivergedError as error:
            diverged |= {method.name: str(error) for method in methods if method.runs == name}
    task = trainings.task(first)
    mixed = {method.runs for method in methods if method.averages}
    for name, found in search.items():
        for rate in found.learning_rates:
            if name not in mixed and rate != found.chosen:
                trainings.forget(find_method(name, task), rate, first)
    chosen = {name: found.chosen for name, found in search.items()}
    results, values = [], []
    for seed in seeds:
        of_seed: dict[str, PseudoValues] = {}
        left = [method for method in methods if method.name not in diverged]
        if diverged and all(method.build is None for method in left):
            raise DivergedError(" ".join(diverged.values()))
        results.append(
            compare(
                left,
                trainings,
                seed=seed,
                learning_rates=chosen,
                grids=grids,
                pseudo_values=of_seed,
                diverged=diverged,
            )
        )
        values.append(of_seed)
    results = [_without(diverged, each) for each in results]
    if diverged and all(len(each.rows) == 1 for each in results):
        raise DivergedError(" ".join(diverged.values()))
    return Study(search, results, levels_over_seeds(results, values), diverged)


def _without(methods: Collection[str], results: Results) -> Results:
    """Results without the rows of these methods."""
    rows = [row for row in results.rows if row.method not in methods]
    sweep = [row for row in results.sweep if row.method not in methods]
    return results.model_copy(update={"rows": rows, "sweep": sweep})
