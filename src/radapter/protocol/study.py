"""Several methods, several seeds, one grid of learning rates: the tables of `benchmarks/`.

The learning rate of every training is the best of the same grid by top-1 on ID validation at alpha 1, searched on
one seed; a tie goes to the smaller rate. No other set is evaluated during the search.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from radapter.data import Memory
from radapter.errors import ConfigError
from radapter.methods import METHODS, Method
from radapter.models import DualEncoder
from radapter.protocol.comparison import compare
from radapter.protocol.experiment import Bench, train_method
from radapter.protocol.recipe import Recipe
from radapter.protocol.results import Results
from radapter.protocol.suite import Suite


@dataclass(frozen=True)
class Study:
    """What a benchmark reports.

    Attributes:
        grid: training -> learning rate -> top-1 on ID validation at alpha 1.
        learning_rates: training -> the best of its grid.
        results: one per seed.
    """

    grid: dict[str, dict[float, float]]
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
    scores = search_learning_rates(
        methods, load, suite_of_seed(search_seed), recipe, grid=grid, seed=search_seed, say=say
    )
    best = {name: max(sorted(of_rate), key=of_rate.__getitem__) for name, of_rate in scores.items()}
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
    return Study(scores, best, results)


def search_learning_rates(
    methods: Sequence[Method],
    load: Callable[[], DualEncoder],
    suite: Suite,
    recipe: Recipe,
    *,
    grid: Sequence[float],
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[float, float]]:
    """Top-1 on ID validation at alpha 1 of every training at every learning rate of the grid.

    Raises:
        ConfigError: the suite has no ID validation.
    """
    if suite.id_val is None:
        raise ConfigError("a search of learning rates needs data.id_val. Give it.")
    memory = Memory()
    bench = Bench(
        replace(suite, id_test={}, ood={}),
        load().preprocess,
        batch_size=recipe.eval_batch_size,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        memory=memory,
    )
    scores: dict[str, dict[float, float]] = {}
    for name in dict.fromkeys(method.runs for method in methods if method.build is not None):
        scores[name] = {}
        for rate in grid:
            at_rate = replace(recipe, learning_rate=rate)
            trained = train_method(METHODS[name], load(), suite, at_rate, seed=seed, memory=memory)
            scores[name][rate] = bench.id_val_sweep(trained, (1.0,))[1.0]["top1"]
            say(f"search: {name}, lr {rate:g}: ID validation {scores[name][rate]:.3f}")
    return scores


def over_seeds(results: Sequence[Results]) -> dict[str, Any]:
    """Results of several seeds as one, in the form of results.json: means, with `id_mean_std`, `ood_mean_std`,
    `seeds`, and `alpha` as a mean of the seeds' choices.

    Args:
        results: one per seed, of the same methods and sets.
    """
    merged: dict[str, Any] = results[0].as_dict()
    dumps = [r.as_dict() for r in results]
    for part in ("rows", "sweep"):
        merged[part] = [_mean_row([d[part][i] for d in dumps]) for i in range(len(merged[part]))]  # type: ignore[index]
    merged["seed"] = [r.seed for r in results]
    return merged


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    mean: dict[str, Any] = _mean(list(rows))
    for key in ("id_mean", "ood_mean"):
        values = [row[key] for row in rows]
        if None not in values:
            mean[f"{key}_std"] = stdev(values) if len(values) > 1 else 0.0
    mean["seeds"] = len(rows)
    return mean


def _mean(values: list[Any]) -> Any:
    """The mean of numbers, dictionary by dictionary; anything else is the first's."""
    first = values[0]
    if isinstance(first, Mapping):
        return {key: _mean([value[key] for value in values]) for key in first}
    if isinstance(first, float):
        return fmean(values)
    return first
