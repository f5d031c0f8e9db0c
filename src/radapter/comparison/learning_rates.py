"""Chooses one learning rate per training from a grid, by ID validation on the first seed.

All grids have the same number of points, half a decade apart. No test set is read here.
"""

from collections.abc import Mapping, Sequence

from radapter.comparison.store import RunStore
from radapter.errors import ConfigError, DivergedError
from radapter.evaluation import HEADLINES, Headline, Measured, TaskName, smallest_within_paired_error
from radapter.methods import Method, find_method
from radapter.methods.rates import default_rate
from radapter.runs.results import RateGrid

Grids = Mapping[str, Sequence[float]]
"""Training -> the learning rates that are tried, ascending."""


def rate_grids(
    methods: Sequence[Method],
    image_width: int,
    *,
    task: TaskName = "classification",
    centres: Mapping[str, float] | None = None,
    points: int = 5,
) -> dict[str, tuple[float, ...]]:
    """Returns the learning rates to try for each training that the methods need.

        rate_k = centre * 10^(k / 2),  k = -(points - 1) / 2 .. (points - 1) / 2

    Rates are rounded to three digits, so that a printed rate is the one that was used. `centres` has the centres of
    some methods: each applies to the training that the method shares, and to methods that change a part of it and
    have no centre. Other grids are centred on the default rate, which depends on the width of the image tower.

    Raises ConfigError if methods that share a training have different centres.
    """
    given: dict[str, tuple[str, float]] = {}
    for name, centre in (centres or {}).items():
        other, known = given.setdefault(find_method(name, task).runs, (name, centre))
        if known != centre:
            raise ConfigError(
                f"compare.rates must give methods that share a training one rate. Got {other}: {known:g} and "
                f"{name}: {centre:g}. Leave one out."
            )
    grids = {}
    for method in methods:
        if method.is_optimized:
            own = given.get(method.runs) or given.get(method.part_of or "")
            centre = default_rate(method, image_width) if own is None else own[1]
            steps = range(-(points // 2), points // 2 + 1)
            grids[method.runs] = tuple(float(f"{centre * 10 ** (step / 2):.3g}") for step in steps)
    return grids


def choose_learning_rate(store: RunStore, name: str, *, grid: Sequence[float], seed: int) -> RateGrid:
    """Runs a training at every learning rate of its grid, and chooses one.

    Raises ConfigError if the suite has no ID validation, and DivergedError if every rate diverged.
    """
    task = store.task(seed)
    found = {rate: store.validated(find_method(name, task), rate, seed) for rate in grid}
    return choose_rate(found, HEADLINES[task], name=name)


def choose_rate(found: Mapping[float, Measured | None], headline: Headline, *, name: str) -> RateGrid:
    """Chooses the smallest learning rate within one paired standard error of the best.

    `found` has the result on ID validation at alpha 1, None if training diverged. Raises DivergedError, with the
    name of the training, if every rate diverged.
    """
    known = {rate: measured for rate, measured in sorted(found.items()) if measured is not None}
    if not known:
        raise DivergedError(
            f"{name} diverged at each of its learning rates, {', '.join(f'{rate:g}' for rate in sorted(found))}. "
            f"Set a lower one in compare.rates, such as compare.rates.{name}={min(found) / 100:.2g}."
        )
    best = next(iter(known))
    for rate, measured in known.items():
        if headline.is_better(measured.metrics, known[best].metrics):
            best = rate
    choice = smallest_within_paired_error(
        list(known),
        [headline.score(measured.metrics) for measured in known.values()],
        [measured.pseudo_values for measured in known.values()],
    )
    metrics = {rate: None if each is None else each.metrics for rate, each in sorted(found.items())}
    at_edge = len(metrics) > 1 and best in (min(metrics), max(metrics))
    return RateGrid(learning_rates=metrics, best=best, chosen=choice.value, at_edge=at_edge)
