"""The recipes: what their numbers come to together."""

from pathlib import Path

import pytest

from radapter.config import load_config
from radapter.protocol.world_task import WORLD_RATES

RECIPES = {path.stem: path for path in (Path(__file__).parents[1] / "recipes").glob("*.yaml")}
SAMPLES = {  # of an epoch, for the recipes whose decay is a number: 'auto' fits any
    "imagenet": 1_281_167 * 98 // 100,
    "retrieval-coco": 2 * 113_287,  # per_group of each in train and restval of Karpathy's split
    "base-to-novel": 16 * 19,  # half of the 37 pets
    "base-to-novel-pacs": 16 * 4,
}


def test_the_recipes_that_fix_the_decay_are_known():
    fixed = {name for name, path in RECIPES.items() if load_config(path).adapter.ema_decay != "auto"}
    assert fixed == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_fixed_decay_forgets_the_zero_start(name):
    config = load_config(RECIPES[name])
    steps = config.train.epochs * -(-SAMPLES[name] // config.train.batch_size)
    assert config.adapter.ema_decay**steps < 0.02  # of the average that is still zero


def test_the_recipe_of_the_world_has_the_learning_rates_of_its_demo():
    assert load_config(RECIPES["world"]).compare.rates == WORLD_RATES
