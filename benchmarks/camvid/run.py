"""Segmentation of CamVid's photographs, before and after fine-tuning, with Felzenszwalb's proposals and true masks.

    python benchmarks/camvid/run.py [--methods zero-shot full wise-ft lora r-adapter] [--seeds 0] [--grid 3e-4 1e-2]
                                    [--to benchmarks/camvid] [KEY=VALUE ...]

The data and every number of the training are those of recipes/camvid.yaml, but for their size: a part of the images
and 24 proposals an image. Learning rates are searched on the first seed by ID validation alone. Trainings are kept
in TO/trainings: started again, it goes on.
"""

import argparse
import shlex
import sys
from pathlib import Path

import radapter
from radapter.commands.building import recipe_of, suite_of
from radapter.config import load_config
from radapter.methods import find_methods
from radapter.models import DualEncoder
from radapter.protocol import Trainings, study
from radapter.report.study import write_study

SMALLER = (
    "regions.max_regions=24",
    "regions.min_size=150",
    "data.train.from_masks.part=[0.0, 0.35]",
    "data.id_val.part=[0.0, 0.4]",
    "data.id_test.part=[0.0, 0.25]",
    "data.ood.fog.part=[0.25, 0.4]",
    "data.ood.grey.part=[0.4, 0.55]",
)
ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=["zero-shot", "full", "wise-ft", "lora", "r-adapter"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--grid", type=float, nargs="+", default=[3e-4, 1e-2])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("overrides", nargs="*", help="keys of the recipe, such as train.epochs=8")
    options = parser.parse_args()
    config = load_config(ROOT / "recipes" / "camvid.yaml", [*SMALLER, *options.overrides])
    suite = suite_of(config, _encoder(config.model))
    trainings = Trainings(
        options.to / "trainings",
        lambda: _encoder(config.model),
        lambda _: suite,
        recipe_of(config),
        starting=lambda line: print(line, flush=True),
    )
    found = study(
        find_methods(options.methods, config.task),
        trainings,
        grid=options.grid,
        search_seed=options.seeds[0],
        seeds=options.seeds,
    )
    print(
        write_study(
            options.to,
            found,
            title="CamVid: photographs of roads, segmented",
            command=shlex.join(["python", "benchmarks/camvid/run.py", *sys.argv[1:]]),
        )
    )


def _encoder(name: str) -> DualEncoder:
    """The recipe's encoder, found from any folder and called as the recipe calls it."""
    encoder = radapter.load(str(ROOT / name))
    encoder.name = name
    return encoder


if __name__ == "__main__":
    main()
