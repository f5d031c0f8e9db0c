"""`radapter demo`: every method on the embedded world, side by side."""

import tempfile
from pathlib import Path

import torch

from radapter.commands.reporting import FILES, print_results, write_report
from radapter.commands.terminal import bars, next_steps, say
from radapter.comparison.compare import compare_at_seed
from radapter.comparison.levels import PseudoValues, levels_over_seeds
from radapter.comparison.store import RunStore
from radapter.errors import RunError
from radapter.methods import find_methods
from radapter.models import load
from radapter.runs.results import Results
from radapter.storage import check_destination, whole_folder
from radapter.tasks.world_benchmark import WORLD_RATES, world_recipe, world_suite
from radapter.training import Environment

MODEL = "world:tiny"
# Pictures of the ID test, of each of the eight shifts and of both kept tasks: the sweep over them costs most.
ID_SIZE, OOD_SIZE, KEPT_SIZE = 300, 60, 120


def demo(
    out: Path,
    *,
    seed: int = 0,
    id_size: int | None = ID_SIZE,
    ood_size: int | None = OOD_SIZE,
    kept_size: int | None = KEPT_SIZE,
) -> Results:
    """Trains and evaluates every method on the embedded world.

    Args:
        out: a new folder, or one that an earlier demo wrote and that holds nothing else.
        seed: of the scenes and of every training.
        id_size: pictures of the ID test; None for the world's usual number.
        ood_size: pictures of each shifted set; None for the world's usual number.
        kept_size: pictures of each task that nothing is trained on; None for the world's usual number.

    Raises:
        RunError: `out` holds something else; nothing is written.
    """
    check_destination(out)
    if out.exists() and not (out.is_dir() and {file.name for file in out.iterdir()} <= set(FILES)):
        raise RunError(
            f"--out must be a new folder or an earlier demo's. '{out}' holds something else. Give another."
        )
    # The operations of so small a model end before a second thread has begun: alone, one takes three quarters of
    # the time of two.
    torch.set_num_threads(1)
    suite = world_suite(seed, id_size=id_size, ood_size=ood_size, kept_size=kept_size)
    methods = find_methods(["foundation"])
    assert suite.train is not None
    say(
        f"{len(methods)} methods fine-tune '{MODEL}' on {len(suite.train):,} drawn photos whose colours give the "
        f"class away. The tests are photos alike (ID), {len(suite.ood)} shifts without that hint (OOD), and naming "
        f"the {' and the '.join(suite.transfer)}, which nothing is trained on (kept)."
    )
    with bars() as bar, tempfile.TemporaryDirectory(prefix="radapter-") as kept:
        store = RunStore(
            Path(kept),
            lambda: load(MODEL),
            lambda _: suite,
            world_recipe(),
            environment=Environment(report=bar.report, evaluated=bar.evaluated),
            starting=bar.starting,
        )
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
    next_steps(
        ("your own data", "radapter init classification --to run.yaml"),
        ("then", "radapter train run.yaml"),
        ("a model's adapter sites", "radapter inspect open_clip:ViT-B-16"),
    )
    return results


def _moved(results: Results, method: str) -> str:
    """Such as "gains 12.0 points of ID, loses 4.1 of OOD and loses 0.5 of kept", compared with zero-shot."""
    row, base = results.row(method), results.row("zero-shot")
    id_, ood, kept = (
        f"{'gains' if gain >= 0 else 'loses'} {abs(gain):.1f}"
        for gain in (
            100 * ((getattr(row, mean) or 0.0) - (getattr(base, mean) or 0.0))
            for mean in ("id_mean", "ood_mean", "kept")
        )
    )
    return f"{id_} points of ID, {ood} of OOD and {kept} of what is kept"
