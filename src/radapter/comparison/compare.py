"""Compares methods at one seed, or at several with learning rates chosen on ID validation.

`radapter compare`, `radapter demo` and the tables of `benchmarks/` use it. Methods that share a training (WiSE-FT
interpolates `full`) are trained once. The zero-shot row comes first.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from radapter.comparison.learning_rates import Grids, choose_learning_rate
from radapter.comparison.levels import PseudoValues, levels_over_seeds
from radapter.comparison.over_seeds import over_seeds, robustness
from radapter.comparison.store import RunStore
from radapter.errors import DivergedError
from radapter.evaluation import HEADLINES, Baseline
from radapter.methods import Method, find_method
from radapter.models import fingerprint
from radapter.runs.alpha_sweep import NOTHING_SELECTED, AlphaRule, row_at, zero_shot_row
from radapter.runs.results import Levels, RateGrid, Results, Selection

_AT_ALPHA_1 = "smallest learning rate within one paired standard error of the best {} at alpha 1, best epoch"


@dataclass(frozen=True)
class Compared:
    """The result of a comparison, with one `Results` per seed.

    rates: training -> its learning rates. levels: OOD at fixed ID levels; None without OOD sets, or if nothing was
    trained. diverged: method -> why it has no row: its training diverged at every rate, or at a seed.
    """

    rates: dict[str, RateGrid]
    results: list[Results]
    levels: Levels | None = None
    diverged: dict[str, str] = field(default_factory=dict)

    @property
    def learning_rates(self) -> dict[str, float]:
        """Training -> the chosen rate."""
        return {name: grid.chosen for name, grid in self.rates.items()}

    def report(self, standard: Baseline | None = None) -> Results:
        """One result over all seeds, with the levels and the learning rates, and robustness against standard models.

        Raises ConfigError if robustness is requested without OOD sets.
        """
        results = over_seeds(self.results) if len(self.results) > 1 else self.results[0]
        of_method = {} if standard is None else robustness(self.results, standard)
        rows = [row.model_copy(update={"robustness": of_method.get(row.method)}) for row in results.rows]
        return results.model_copy(
            update={
                "rows": rows,
                "levels": self.levels,
                "search": self.rates,
                "diverged": self.diverged,
                "standard_models": standard,
            }
        )


def compare_methods(
    methods: Sequence[Method], store: RunStore, *, grids: Grids, seeds: Sequence[int]
) -> Compared:
    """Chooses learning rates from grids on the first seed, then compares the methods on all seeds.

    The weights at other learning rates are removed at once, unless a soup needs them. Raises ConfigError if the
    suite has no ID validation, and DivergedError if every method diverged.
    """
    first = seeds[0]
    mixed = {method.runs for method in methods if method.spans_rates}
    later = sum(len(grid) if name in mixed else 1 for name, grid in grids.items())
    further = sum(method.draws - 1 for method in methods)
    further += sum(method.build is not None and not method.is_optimized for method in methods)
    store.expect(sum(map(len, grids.values())) + later * (len(seeds) - 1) + further * len(seeds))
    rates: dict[str, RateGrid] = {}
    diverged: dict[str, str] = {}
    for name, grid in grids.items():
        try:
            rates[name] = choose_learning_rate(store, name, grid=grid, seed=first)
        except DivergedError as error:
            diverged |= {method.name: str(error) for method in methods if method.runs == name}
    task = store.task(first)
    for name, found in rates.items():
        for rate in found.learning_rates:
            if name not in mixed and rate != found.chosen:
                store.forget(find_method(name, task), rate, first)
    chosen = {name: found.chosen for name, found in rates.items()}
    results, values = [], []
    for seed in seeds:
        of_seed: dict[str, PseudoValues] = {}
        left = [method for method in methods if method.name not in diverged]
        if diverged and all(method.build is None for method in left):
            raise DivergedError(" ".join(diverged.values()))
        results.append(
            compare_at_seed(
                left,
                store,
                seed=seed,
                learning_rates=chosen,
                grids=grids,
                pseudo_values=of_seed,
                diverged=diverged,
            )
        )
        values.append(of_seed)
    results = [
        each.model_copy(
            update={
                "rows": [row for row in each.rows if row.method not in diverged],
                "sweep": [row for row in each.sweep if row.method not in diverged],
            }
        )
        for each in results
    ]
    if diverged and all(len(each.rows) == 1 for each in results):
        raise DivergedError(" ".join(diverged.values()))
    return Compared(rates, results, levels_over_seeds(results, values), diverged)


def compare_at_seed(
    methods: Sequence[Method],
    store: RunStore,
    *,
    seed: int,
    learning_rates: Mapping[str, float] | None = None,
    grids: Grids | None = None,
    pseudo_values: MutableMapping[str, PseudoValues] | None = None,
    diverged: MutableMapping[str, str] | None = None,
) -> Results:
    """Trains and evaluates every method, each from a fresh model; zero-shot is always included.

    Args:
        methods: Rows of the task's table.
        store: Trains the methods and keeps the results.
        seed: Of everything drawn.
        learning_rates: By training; without an entry, the method's own.
        grids: By training, the learning rates that a soup averages. Raises ConfigError for a soup without them.
        pseudo_values: Receives those of each method's sweep, for `levels_over_seeds`.
        diverged: Receives the methods whose training diverged, and why. None raises DivergedError instead.
    """
    encoder, task = store.encoder(), store.task(seed)
    headline = HEADLINES[task]
    zero_shot = store.zero_shot(seed)
    rows, sweeps = [zero_shot_row(*zero_shot.rows)], [*zero_shot.rows]
    selection = NOTHING_SELECTED
    seconds = {"zero-shot": zero_shot.seconds}
    for method in methods:
        if method.build is None:
            continue
        rate = (learning_rates or {}).get(method.runs)
        rates: tuple[float, ...] = () if rate is None else (rate,)
        try:
            if method.averages is None:
                trained = store.trained(find_method(method.runs, task), rate, seed)
            else:
                if method.spans_rates:
                    rates = tuple((grids or {}).get(method.runs, ()))
                trained = store.mixed(method, rates, seed)
            swept = store.sweep(trained, seed, rates)
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
        alpha, chosen_by = AlphaRule(method.alpha).choose(validated, headline)
        if chosen_by.split is not None:
            selection = chosen_by
        elif grids is not None and selection.split is None:
            rule, n = _AT_ALPHA_1.format(headline.label), int(validated[alpha].metrics["n"])
            selection = Selection(split="id_val", rule=rule, n=n)
        rows.append(row_at(alpha, swept, zero_shot, trained, headline, chosen_by, method.name))
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
