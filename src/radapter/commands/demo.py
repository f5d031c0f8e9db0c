"""`radapter demo`: every method on the synthetic benchmark, side by side."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch

from radapter.commands.reporting import print_results
from radapter.commands.terminal import next_steps, say
from radapter.comparison.compare import compare_at_seed
from radapter.comparison.levels import PseudoValues, levels_over_seeds
from radapter.comparison.store import RunStore
from radapter.errors import RunError
from radapter.methods import find_methods
from radapter.models import load
from radapter.operations.bars import bars
from radapter.report.files import FILES, write_report
from radapter.report.page import PAGE
from radapter.runs.results import Results
from radapter.storage import check_destination, free, whole_folder
from radapter.tasks.world_benchmark import WORLD_RATES, world_recipe, world_suite
from radapter.training import Environment

SIZES = {"id_size": 300, "ood_size": 60, "kept_size": 120}
"""Images of the ID test, of each shifted set and of each kept task: most time goes into their sweep."""


def demo(out: Path, *, seed: int, **sizes: int) -> Results:
    """Trains and evaluates every method on the synthetic benchmark; `sizes` replace some of `SIZES`.

    Raises:
        RunError: `out` holds something else than an earlier demo; nothing is written.
    """
    check_destination(out)
    if out.exists() and not (out.is_dir() and {file.name for file in out.iterdir()} <= {*FILES, PAGE}):
        raise RunError(
            f"--out must be a new folder or an earlier demo's. '{out}' holds something else. Give another."
        )
    torch.set_num_threads(1)  # for so small a model, one thread takes three quarters of the time of two
    suite = world_suite(seed, **SIZES | sizes)
    methods = find_methods(["foundation"])
    assert suite.train is not None
    say(
        f"{len(methods)} methods fine-tune 'world:tiny' on {len(suite.train):,} drawn photos whose colours give the "
        f"class away. The tests are similar photos (ID), {len(suite.ood)} shifts without that hint (OOD), and "
        f"naming the {' and the '.join(suite.transfer)}, which no method trains on (kept)."
    )
    with bars() as bar, tempfile.TemporaryDirectory(prefix="radapter-") as kept:
        store = RunStore(
            Path(kept),
            lambda: load("world:tiny"),
            lambda _: suite,
            world_recipe(),
            environment=Environment(report=bar.report, evaluated=bar.evaluated),
            starting=bar.starting,
        )
        store.expect(len({method.runs for method in methods if method.build is not None}))
        values: dict[str, PseudoValues] = {}
        results = compare_at_seed(methods, store, seed=seed, learning_rates=WORLD_RATES, pseudo_values=values)
        results = results.model_copy(update={"levels": levels_over_seeds([results], [values])})
    with whole_folder(out, replace=True) as draft:
        results.write(draft)
        write_report(results, draft)
    print_results(results, out)
    adapted = results.row("r-adapter")
    share = adapted.trained_parameters / results.row("full").trained_parameters
    say(
        f"Against zero-shot, full fine-tuning {_moved(results, 'full')}. R-Adapter at alpha {adapted.alpha:g}, "
        f"chosen on ID validation alone, {_moved(results, 'r-adapter')}, training {share:.0%} as many parameters."
    )
    file = free("run.yaml")
    next_steps(
        ("your own data", f"radapter init classification --out {file}"),
        ("then", f"radapter train {file}"),
        *([("one page with a slider for alpha", f"radapter report {out}")] if find_spec("altair") else []),
        ("a model's adapter sites", "radapter inspect world:tiny"),
    )
    return results


def _moved(results: Results, method: str) -> str:
    """Such as "gains 12.0 points of ID, loses 4.1 of OOD and loses 0.5 of what is kept" against zero-shot."""
    row, base = results.row(method), results.row("zero-shot")
    gains = [
        100 * ((getattr(row, mean) or 0.0) - (getattr(base, mean) or 0.0))
        for mean in ("id_mean", "ood_mean", "kept")
    ]
    id_, ood, kept = (f"{'gains' if gain >= 0 else 'loses'} {abs(gain):.1f}" for gain in gains)
    return f"{id_} points of ID, {ood} of OOD and {kept} of what is kept"
