"""One learning rate for each training, from one grid common to all, by ID validation alone.

No method gets a larger grid than another, and nothing here reads a test set.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from radapter.data import Memory
from radapter.errors import ConfigError
from radapter.evaluation import Metrics
from radapter.methods import METHODS, Method
from radapter.models import DualEncoder
from radapter.protocol.experiment import bench_of, train_method
from radapter.protocol.recipe import Recipe
from radapter.protocol.suite import Suite
from radapter.training import Progress

Search = dict[str, dict[float, Metrics]]
"""Training -> learning rate -> metrics on ID validation at alpha 1."""


def search_learning_rates(
    methods: Sequence[Method],
    load: Callable[[], DualEncoder],
    suite: Suite,
    recipe: Recipe,
    *,
    grid: Sequence[float],
    seed: int,
    memory: Memory | None = None,
    starting: Callable[[str, float], None] = lambda *_: None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Search:
    """Trains every method at every learning rate; methods that share a training are trained once.

    Args:
        methods: rows of `METHODS`; those that train nothing are left out.
        load: gives a fresh model.
        suite: its training and validation sets are read.
        recipe: common to all methods, but for the learning rate.
        grid: peak learning rates.
        seed: of every training.
        memory: for decoded images.
        starting: told of each training and learning rate before it begins.
        report: told of each training step.

    Raises:
        ConfigError: the suite has no ID validation, or the grid is empty.
    """
    if suite.id_val is None:
        raise ConfigError("a search needs data.id_val: nothing else may choose a learning rate.")
    if not grid:
        raise ConfigError("grid must hold at least one learning rate. Got none.")
    memory = memory or Memory()
    # Test sets are left out, so that they cannot be read.
    seen = replace(suite, id_test={}, ood={}, transfer={})
    found: Search = {}
    for name in dict.fromkeys(method.runs for method in methods if method.build is not None):
        found[name] = {}
        for rate in grid:
            starting(name, rate)
            encoder = load()
            bench = bench_of(seen, encoder, recipe, memory=memory)
            at_rate = replace(recipe, learning_rate=rate)
            trained = train_method(
                METHODS[name], encoder, seen, at_rate, seed=seed, memory=memory, report=report
            )
            found[name][rate] = bench.id_val_sweep(trained, (1.0,))[1.0]
    return found


def best_rates(search: Mapping[str, Mapping[float, Metrics]]) -> dict[str, float]:
    """The rate of each training with the best top-1 on ID validation; the lower NLL decides between equals."""
    return {
        name: max(rates, key=lambda rate: (rates[rate]["top1"], -rates[rate]["nll"]))
        for name, rates in search.items()
    }
