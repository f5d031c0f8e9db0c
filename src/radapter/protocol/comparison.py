"""Several methods on one suite, at one seed: what `radapter demo` and the benchmarks do.

Methods that share a training (WiSE-FT interpolates `full`) are trained once. The zero-shot row comes first.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from radapter.data import Memory
from radapter.evaluation import ALPHAS
from radapter.methods import METHODS, Method
from radapter.models import DualEncoder, fingerprint
from radapter.protocol.experiment import bench_of, choose_alpha, row_at, train_method, zero_shot_row
from radapter.protocol.leaks import check_disjoint
from radapter.protocol.recipe import Recipe
from radapter.protocol.results import Results, Row, Selection, SweepRow
from radapter.protocol.suite import Suite
from radapter.protocol.trained import Trained
from radapter.training import Progress


def alphas_with(alpha: float | Literal["auto"]) -> tuple[float, ...]:
    """The sweep's alphas, and `alpha` where it is a number between them."""
    return ALPHAS if alpha == "auto" else tuple(sorted({*ALPHAS, alpha}))


def rows_of(
    methods: Sequence[Method], trained: Trained, sweep: Sequence[SweepRow], zero_shot: SweepRow
) -> tuple[list[Row], Selection | None]:
    """The rows of all methods that stand on one training, and what chose alpha where something did."""
    rows, selection = [], None
    for method in methods:
        alpha, chosen_by = choose_alpha(sweep, method.alpha)
        rows.append(row_at(alpha, sweep, zero_shot, trained=trained, method=method.name))
        selection = chosen_by if chosen_by.split is not None else selection
    return rows, selection


def compare(
    methods: Sequence[Method],
    load: Callable[[], DualEncoder],
    suite: Suite,
    recipe: Recipe,
    *,
    seed: int,
    learning_rates: dict[str, float] | None = None,
    memory: Memory | None = None,
    starting: Callable[[str], None] = lambda _: None,
    report: Callable[[Progress], None] = lambda _: None,
    progress: Callable[[str, int], None] | None = None,
) -> Results:
    """Trains and evaluates every method, each from a fresh model.

    Args:
        methods: rows of `METHODS`; "zero-shot" is always there.
        load: gives a fresh model.
        suite: the data.
        recipe: common to all methods; a learning rate of None is each method's own.
        seed: fixes everything.
        learning_rates: by method, in place of the recipe's.
        memory: for decoded images.
        starting: told of each training's name before it begins.
        report: told of each training step.
        progress: told of (set, images) as they are evaluated.

    Raises:
        DataError: an image that is validated or tested on is also trained on.
    """
    check_disjoint(suite)
    memory = memory or Memory()
    encoder = load()
    bench = bench_of(suite, encoder, recipe, memory=memory, progress=progress)
    zero_shot = bench.zero_shot(encoder)
    rows: dict[str, Row] = {"zero-shot": zero_shot_row(zero_shot)}
    sweeps, selection = [zero_shot], Selection(split=None, rule="nothing was selected", n=0)
    trainings = dict.fromkeys(method.runs for method in methods if method.build is not None)
    for name in trainings:
        starting(name)
        rate = (learning_rates or {}).get(name, recipe.learning_rate)
        trained = train_method(
            METHODS[name],
            load(),
            suite,
            replace(recipe, learning_rate=rate),
            seed=seed,
            memory=memory,
            report=report,
        )
        sweep = bench.sweep(trained, zero_shot)
        sharing = [method for method in methods if method.runs == name]
        sweeps += [row.model_copy(update={"method": method.name}) for method in sharing for row in sweep]
        standing, chosen_by = rows_of(sharing, trained, sweep, zero_shot)
        rows |= {row.method: row for row in standing}
        selection = chosen_by or selection
    ordered = ["zero-shot", *(method.name for method in methods if method.build is not None)]
    return Results(
        model=encoder.name,
        fingerprint=fingerprint(encoder),
        seed=seed,
        selection=selection,
        rows=[rows[name] for name in ordered],
        sweep=sweeps,
    )
