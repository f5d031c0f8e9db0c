"""Every method on real photographs and their three shifts, three seeds, one grid of learning rates.

    python benchmarks/pacs/run.py [--methods all] [--seeds 0 1 2] [--grid 1e-4 1e-3 1e-2] [--to benchmarks/pacs]
                                  [KEY=VALUE ...]

The data and every number of the training are those of recipes/pacs.yaml, alike for all methods, but for the loss:
each method has its own, with the settings of its paper; and for the shifted sets, of which a fifth is tested on.
The grid is searched on seed 100, by ID validation alone.
Trainings are kept in TO/trainings: started again, it goes on.
"""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import radapter
from radapter.commands.building import recipe_of, suite_of
from radapter.config import load_config
from radapter.methods import find_methods
from radapter.models import DualEncoder
from radapter.protocol import Trainings, study
from radapter.report.study import write_study

SEARCH_SEED = 100
# Most of the time is the sweep over the shifted sets: a fifth of their pictures tells the methods apart.
SHIFTED = [f"data.ood.{domain}.part=[0.5, 0.6]" for domain in ("art_painting", "cartoon", "sketch")]
ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--grid", type=float, nargs="+", default=[1e-4, 1e-3, 1e-2])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("overrides", nargs="*", help="keys of the recipe, such as train.epochs=5")
    options = parser.parse_args()
    config = load_config(ROOT / "recipes" / "pacs.yaml", [*SHIFTED, *options.overrides])
    suite = suite_of(config, _encoder(config.model))
    trainings = Trainings(
        options.to / "trainings",
        lambda: _encoder(config.model),
        lambda _: suite,
        replace(recipe_of(config), keep="best"),
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
            title="PACS: photographs, and their shifts",
            command=shlex.join(["python", "benchmarks/pacs/run.py", *sys.argv[1:]]),
        )
    )


def _encoder(name: str) -> DualEncoder:
    """The recipe's encoder, found from any folder and called as the recipe calls it."""
    encoder = radapter.load(str(ROOT / name))
    encoder.name = name
    return encoder


if __name__ == "__main__":
    main()
