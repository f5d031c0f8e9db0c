"""Several methods, several seeds, one grid of learning rates: the tables of `benchmarks/`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from radapter.methods import Method
from radapter.models import DualEncoder
from radapter.protocol.comparison import compare
from radapter.protocol.recipe import Recipe
from radapter.protocol.results import Results
from radapter.protocol.search import Search, best_rates, search_learning_rates
from radapter.protocol.suite import Suite


@dataclass(frozen=True)
class Study:
    """What a benchmark reports.

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
    load: Callable[[], DualEncoder],
    suite_of_seed: Callable[[int], Suite],
    recipe: Recipe,
    *,
    grid: Sequence[float],
    search_seed: int,
    seeds: Sequence[int],
    say: Callable[[str], None] = lambda _: None,
) -> Study:
    """Searches learning rates on one seed, then compares the methods on all seeds.

    Args:
        methods: rows of `METHODS`.
        load: gives a fresh model.
        suite_of_seed: the data of a seed; the same every time where the data are fixed.
        recipe: common to all methods; its learning rate is not read.
        grid: learning rates, the same for every method.
        search_seed: of the search.
        seeds: of the comparison.
        say: told in a line what begins.

    Raises:
        ConfigError: the suite has no ID validation.
    """
    search = search_learning_rates(
        methods,
        load,
        suite_of_seed(search_seed),
        recipe,
        grid=grid,
        seed=search_seed,
        starting=lambda name, rate: say(f"search: {name}, learning rate {rate:g}"),
    )
    best = best_rates(search)
    results = []
    for seed in seeds:
        results.append(
            compare(
                methods,
                load,
                suite_of_seed(seed),
                recipe,
                seed=seed,
                learning_rates=best,
                starting=lambda name, seed=seed: say(f"seed {seed}: {name}"),  # type: ignore[misc]
            )
        )
    return Study(search, best, results)
