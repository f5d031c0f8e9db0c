"""Every method on the synthetic benchmark, three seeds, five learning rates each.

    python benchmarks/world/run.py [--methods all] [--seeds 0 1 2] [--ood-size 300] [--to benchmarks/world]

`radapter compare recipes/world.yaml` keeps its images over all seeds; here each seed draws its own. Learning rates
are searched on the first seed, by top-1 on ID validation at alpha 1.
Runs are kept in TO/trainings: if interrupted, start it again to continue.
"""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import radapter
from radapter.comparison.compare import compare_methods
from radapter.comparison.learning_rates import rate_grids
from radapter.comparison.store import RunStore
from radapter.methods import find_methods
from radapter.report.study import write_study
from radapter.tasks.world_benchmark import WORLD_RATES, world_recipe, world_suite


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--grid", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--ood-size", type=int, default=300, help="pictures of each of the eight shifts")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    if options.grid is not None:
        parser.error(
            "--grid was removed: five learning rates are searched around WORLD_RATES. "
            "Use compare.rates and compare.points of 'radapter compare recipes/world.yaml' for others."
        )
    methods = find_methods(options.methods)
    store = RunStore(
        options.to / "trainings",
        lambda: radapter.load("world:tiny"),
        lambda seed: world_suite(seed, ood_size=options.ood_size),
        replace(world_recipe(), keep="best"),
        starting=lambda line: print(line, flush=True),
    )
    found = compare_methods(
        methods,
        store,
        grids=rate_grids(methods, store.encoder().image_width, centres=WORLD_RATES),
        seeds=options.seeds,
    )
    print(
        write_study(
            options.to,
            found.report(),
            title="The synthetic benchmark",
            command=shlex.join(["python", "benchmarks/world/run.py", *sys.argv[1:]]),
        )
    )


if __name__ == "__main__":
    main()
