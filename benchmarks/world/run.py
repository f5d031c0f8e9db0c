"""Every method on the embedded world, three seeds, one grid of learning rates.

    python benchmarks/world/run.py [--methods all] [--seeds 0 1 2] [--grid 3e-4 1e-3 1e-2]
                                   [--ood-size 300] [--to benchmarks/world]

The grid is searched on seed 100, which no test and no other table uses, by top-1 on ID validation at alpha 1.
Trainings are kept in TO/trainings: started again, it goes on.
"""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import radapter
from radapter.methods import find_methods
from radapter.protocol import Trainings, study
from radapter.protocol.world_task import world_recipe, world_suite
from radapter.report.study import write_study

SEARCH_SEED = 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--grid", type=float, nargs="+", default=[3e-4, 1e-3, 1e-2])
    parser.add_argument("--ood-size", type=int, default=300, help="pictures of each of the eight shifts")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    trainings = Trainings(
        options.to / "trainings",
        lambda: radapter.load("world:tiny"),
        lambda seed: world_suite(seed, ood_size=options.ood_size),
        replace(world_recipe(), keep="best"),
        starting=lambda line: print(line, flush=True),
    )
    found = study(
        find_methods(options.methods),
        trainings,
        grid=options.grid,
        search_seed=SEARCH_SEED,
        seeds=options.seeds,
    )
    print(
        write_study(
            options.to,
            found,
            title="The embedded world",
            command=shlex.join(["python", "benchmarks/world/run.py", *sys.argv[1:]]),
        )
    )


if __name__ == "__main__":
    main()
