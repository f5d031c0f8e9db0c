"""The recipes: what their numbers come to together."""

import re
from pathlib import Path

import pytest

from radapter.config import load_config
from radapter.tasks.world_benchmark import WORLD_RATES

RECIPES = {path.stem: path for path in (Path(__file__).parents[1] / "recipes").glob("*.yaml")}
SAMPLES = {  # of an epoch, for the recipes whose decay is a number: 'auto' fits any
    "imagenet": 1_281_167 * 98 // 100,
    "retrieval-coco": 5 * 113_287,  # captions of train and restval of Karpathy's split
    "base-to-novel": 16 * 19,  # half of the 37 pets
    "base-to-novel-pacs": 16 * 4,
}


def test_the_recipes_that_fix_the_decay_are_known():
    fixed = {name for name, path in RECIPES.items() if load_config(path).train.ema_decay != "auto"}
    assert fixed == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_fixed_decay_forgets_the_zero_start(name):
    config = load_config(RECIPES[name])
    steps = config.train.epochs * -(-SAMPLES[name] // config.train.batch_size)
    assert config.train.ema_decay**steps < 0.02  # of the average that is still zero


def test_the_recipe_of_the_world_has_the_learning_rates_of_its_demo():
    assert load_config(RECIPES["world"]).compare.rates == WORLD_RATES


# docs/RUN.md of tjddus9597/R-Adapter-ECCV2024 (9680117), but for the rank of the full matrix and the decay that
# `auto` stands for; args.py has 500 warm-up steps where RUN.md names none; clip/clip.py has the crop, and no flip.
_COMMON = {"lr": 5e-4, "weight_decay": 0.0, "flip": False, "crop_scale": (0.9, 1.0), "drop": 0.2}
RELEASED = {
    "imagenet": {"epochs": 10, "batch_size": 512, "warmup_steps": 500, "grad_clip": 1.0, "r": None,
                 "ema_decay": 0.999, "alpha": 0.5, "label_smoothing": 0.02, "margin": 0.05},
    "retrieval-coco": {"epochs": 10, "batch_size": 512, "warmup_steps": 500, "grad_clip": None, "r": None,
                       "ema_decay": 0.999, "alpha": 0.8, "label_smoothing": 0.0, "margin": 0.05},
    "few-shot": {"epochs": 50, "batch_size": 256, "warmup_steps": 0, "grad_clip": 1.0, "r": 4,
                 "ema_decay": "auto", "alpha": 0.5, "label_smoothing": 0.02, "margin": 0.05},
    "base-to-novel": {"epochs": 101, "batch_size": 32, "warmup_steps": 500, "grad_clip": 1.0, "r": 4,
                      "ema_decay": 0.9, "alpha": 0.5, "label_smoothing": 0.0, "margin": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASED)
def test_a_recipe_of_the_paper_has_the_settings_of_the_release(name):
    config = load_config(RECIPES[name])
    found = (
        config.method.model_dump()
        | config.select.model_dump()
        | config.loss.model_dump()
        | config.train.model_dump()
    )
    expected = _COMMON | RELEASED[name]
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["imagenet", "few-shot", "base-to-novel"])
def test_the_paper_s_classifications_use_all_80_templates(name):
    assert load_config(RECIPES[name]).data.templates == "imagenet"


def test_coco_is_trained_on_random_pairs_as_in_the_release():
    config = load_config(RECIPES["retrieval-coco"])
    assert config.train.per_group is None
    assert config.data.join_captions is False
    assert config.train.keep == "last"


def test_base_and_novel_are_the_release_s_alphabetical_halves():
    data = load_config(RECIPES["base-to-novel"]).data
    transfer = [each.source for each in data.transfer.values()]
    sources = [data.train, data.id_val, *data.id_test.values(), *transfer]
    assert {source.half_order for source in sources} == {"names"}


@pytest.mark.parametrize("name", ["few-shot", "base-to-novel"])
def test_shots_are_coop_s_draw(name):
    data = load_config(RECIPES[name]).data
    for source in (data.train, data.id_val):
        assert (source.shots, source.shots_scheme, source.shots_seed) == (16, "coop", 1)


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_of_a_recipe_says_where_it_comes_from(name):
    section, lines = "", RECIPES[name].read_text(encoding="utf-8").splitlines()
    for line in lines:
        section = line.split(":")[0] if re.match(r"\w", line) else section
        if section in ("method", "select", "loss", "train") and re.match(r"  (?!lr:|name:)\w", line):
            assert re.search(r"# (paper|release|radapter)\b", line), line
