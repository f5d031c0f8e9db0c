"""Several methods on one suite, at one seed: what `radapter demo`, `radapter compare` and the benchmarks do.

Methods that share a training (WiSE-FT interpolates `full`) are trained once. The zero-shot row comes first.
"""

from collections.abc import Mapping, MutableMapping, Sequence

from radapter.comparison.levels_over_seeds import PseudoValues
from radapter.comparison.training_store import Trainings
from radapter.errors import DivergedError
from radapter.evaluation import HEADLINES
from radapter.methods import Method, find_method
from radapter.models import fingerprint
from radapter.runs.bench import row_at, zero_shot_row
from radapter.runs.results import Results, Selection
from radapter.runs.selection import choose_alpha

_AT_ALPHA_1 = "smallest learning rate within one paired standard error of the best {} at alpha 1, best epoch"


def compare(
    methods: Sequence[Method],
    trainings: Trainings,
    *,
    seed: int,
    learning_rates: Mapping[str, float] | None = None,
    grids: Mapping[str, Sequence[float]] | None = None,
    pseudo_values: MutableMapping[str, PseudoValues] | None = None,
    diverged: MutableMapping[str, str] | None = None,
) -> Results:
    """Trains and evaluates every method, each from a fresh model.

    Args:
        methods: rows of `METHODS`; "zero-shot" is always there.
        trainings: does them, and keeps them.
        seed: fixes everything.
        learning_rates: by training; one that is absent is the method's own.
        grids: by training, the learning rates that were searched, which a soup averages; None without a search.
        pseudo_values: gets those of each method's sweep, for `levels_over_seeds`.
        diverged: gets methods whose training diverged, and why; they have no row. None raises instead.

    Raises:
        ConfigError: a soup without a grid.
        DivergedError: a training diverged, and `diverged` is None.
    """
    encoder, task = trainings.encoder(), trainings.task(seed)
    headline = HEADLINES[task]
    zero_shot = trainings.zero_shot(seed)
    rows, sweeps = [zero_shot_row(*zero_shot.rows)], [*zero_shot.rows]
    selection = Selection(split=None, rule="nothing was selected", n=0)
    seconds = {"zero-shot": zero_shot.seconds}
    for method in methods:
        if method.build is None:
            continue
        rate = (learning_rates or {}).get(method.runs)
        rates: tuple[float, ...] = () if rate is None else (rate,)
        try:
            if method.averages is None:
                trained = trainings.trained(find_method(method.runs, task), rate, seed)
            else:
                rates = tuple((grids or {}).get(method.runs, ()))
                trained = trainings.mixed(method, rates, seed)
            swept = trainings.sweep(trained, seed, rates)
        except DivergedError as error:
            if diverged is None:
                raise
            diverged[method.name] = str(error)
            continue
        if pseudo_values is not None:
            pseudo_values[method.name] = {key: found.numpy() for key, found in swept.pseudo_values.items()}
        # methods that share a training share its sweep
        seconds[method.runs if method.averages is None else method.name] = swept.seconds
        sweeps += [row.model_copy(update={"method": method.name}) for row in swept.rows]
        validated = swept.on_validation()
        alpha, chosen_by = choose_alpha(validated, method.alpha, headline=headline)
        if chosen_by.split is not None:
            selection = chosen_by
        elif grids is not None and selection.split is None:
            rule = _AT_ALPHA_1.format(headline.label)
            selection = Selection(split="id_val", rule=rule, n=int(validated[alpha].metrics["n"]))
        rows.append(
            row_at(
                alpha,
                swept.rows,
                *zero_shot.rows,
                trained=trained,
                method=method.name,
                headline=headline,
                selection=chosen_by,
            )
        )
    return Results(
        model=encoder.name,
        fingerprint=fingerprint(encoder),
        task=task,
        seeds=[seed],
        selection=selection,
        rows=rows,
        sweep=sweeps,
        evaluation_seconds=sum(seconds.values()),
    )
