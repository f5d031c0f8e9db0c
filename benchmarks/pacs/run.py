"""All methods on real photographs and their three shifts, three seeds: `python benchmarks/pacs/run.py`.

The data and every number of the training are those of recipes/pacs.yaml, alike for all methods. Each method's
learning rate is the best of one common grid on ID validation at the first seed; alpha is chosen on ID validation.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from radapter import load
from radapter.commands.building import recipe_of, suite_of
from radapter.config import load_config
from radapter.data import Memory
from radapter.methods import METHODS
from radapter.protocol import compare
from radapter.protocol.search import Search, best_rates, search_learning_rates
from radapter.protocol.seeds import over_seeds
from radapter.report.frontier import draw
from radapter.report.table import results_markdown
from radapter.storage import write_json, write_text

ROOT = Path(__file__).parents[2]
GRID = (3e-4, 1.7e-3, 1e-2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "pacs.yaml")
    parser.add_argument("--out", type=Path, default=Path("runs/pacs-benchmark"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--grid", type=float, nargs="+", default=GRID)
    parser.add_argument("overrides", nargs="*", help="keys of the recipe, such as train.epochs=5")
    options = parser.parse_args()

    config = load_config(options.recipe, options.overrides)
    suite = suite_of(config)
    # Each method has its own loss, with the settings of its paper.
    recipe = replace(recipe_of(config), loss=None, margin=None, label_smoothing=None)
    fresh = partial(load, str(ROOT / config.model))
    methods = list(METHODS.values())
    memory = Memory()
    options.out.mkdir(parents=True, exist_ok=True)

    search = search_learning_rates(
        methods, fresh, suite, recipe, grid=options.grid, seed=options.seeds[0], memory=memory, starting=_say
    )
    rates = best_rates(search)
    results = []
    for seed in options.seeds:
        starting = partial(_say, f"seed {seed}")
        found = compare(
            methods, fresh, suite, recipe, seed=seed, learning_rates=rates, memory=memory, starting=starting
        )
        results.append(found)
        write_json(options.out / f"seed-{seed}.json", found.as_dict())
    merged = over_seeds(results) if len(results) > 1 else results[0].as_dict()
    merged |= {"search": search}
    text = f"{results_markdown(merged)}\n{searched(search, rates)}"
    write_json(options.out / "results.json", merged)
    write_text(options.out / "results.md", text)
    draw(merged, options.out / "frontier.png")
    print(text)


def searched(search: Search, rates: dict[str, float]) -> str:
    """The search as a Markdown table: top-1 on ID validation by learning rate, the chosen one bold."""
    grid = list(next(iter(search.values())))
    lines = ["Learning rates: top-1 in % on ID validation, first seed, alpha 1", ""]
    lines += ["| Method | " + " | ".join(f"{rate:g}" for rate in grid) + " |", "|---" * (len(grid) + 1) + "|"]
    for name, found in search.items():
        cells = [f"{found[rate]['top1']:.1%}".rstrip("%") for rate in grid]
        marked = [f"**{c}**" if rate == rates[name] else c for c, rate in zip(cells, grid, strict=True)]
        lines.append(f"| {name} | " + " | ".join(marked) + " |")
    return "\n".join(lines) + "\n"


def _say(*parts: object) -> None:
    print(time.strftime("%H:%M:%S"), *parts, flush=True)


if __name__ == "__main__":
    main()
