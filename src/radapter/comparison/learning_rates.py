"""One learning rate for each training, from grids of one size, by ID validation on the first seed alone.

Every training is searched at the same number of points, half a decade apart. No test set is read here.
"""

from collections.abc import Mapping, Sequence

from radapter.comparison.training_store import Trainings
from radapter.errors import ConfigError, DivergedError
from radapter.evaluation import HEADLINES, Headline, Measured, TaskName, smallest_within_paired_error
from radapter.methods import Method, find_method
from radapter.methods.rates import default_rate
from radapter.runs.results import RateSearch

Grids = Mapping[str, Sequence[float]]
"""Training -> the learning rates that are tried, ascending."""


Search = dict[str, RateSearch]
"""Training -> its search."""


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

    Rates are rounded to three digits, so that a printed rate is the one that was used.

    Args:
        methods: rows of the task's table; those that train nothing are left out.
        image_width: of the model's image tower; default rates depend on it.
        task: whose methods `centres` names.
        centres: method -> the middle of its grid. A method that shares a training gives the centre of that training,
            and one that changes a part of another has the other's unless it is given. Methods that are not compared
            are ignored. A training without a centre has its default rate.
        points: how many, odd; 1 is the centre alone.

    Raises:
        ConfigError: methods that share a training have different centres.
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
        if method.build is not None:
            own = given.get(method.runs) or given.get(method.part_of or "")
            centre = default_rate(method, image_width) if own is None else own[1]
            steps = range(-(points // 2), points // 2 + 1)
            grids[method.runs] = tuple(_rounded(centre * 10 ** (step / 2)) for step in steps)
    return grids


def search_learning_rates(trainings: Trainings, *, grids: Grids, seed: int) -> Search:
    """Trains at every learning rate of every grid, and chooses one for each training.

    Args:
        trainings: does them, and keeps them.
        grids: the rates of each training.
        seed: of every training.

    Raises:
        ConfigError: the suite has no ID validation.
        DivergedError: a training diverged at each of its rates.
    """
    task = trainings.task(seed)
    return {
        name: choose_rate(
            {rate: trainings.validated(find_method(name, task), rate, seed) for rate in grid},
            HEADLINES[task],
            name=name,
        )
        for name, grid in grids.items()
    }


def choose_rate(found: Mapping[float, Measured | None], headline: Headline, *, name: str) -> RateSearch:
    """Chooses the smallest learning rate within one paired standard error of the best.

    Args:
        found: learning rate -> what ID validation gives at alpha 1; None where training diverged.
        headline: of the task.
        name: of the training, for the message.

    Raises:
        DivergedError: every rate diverged.
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
    return RateSearch(learning_rates=metrics, best=best, chosen=choice.value, at_edge=at_edge)


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
