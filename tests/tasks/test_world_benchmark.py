"""The embedded default: what it trains on, and what it keeps."""

from pathlib import Path

import pytest
import torch

from radapter import world
from radapter.config import load_config
from radapter.config.building import suite_of
from radapter.data import EvalLoader
from radapter.evaluation import ClassificationMeasure, measured
from radapter.tasks.world_benchmark import world_suite
from radapter.zeroshot import LinearHead, class_embeddings

RECIPE = Path(__file__).parents[2] / "recipes" / "world.yaml"
SMALL = [
    "data.ood={}",
    "data.transfer={colour: {world: colour, size: 8}, pattern: {world: pattern, size: 8}}",
]


@pytest.fixture(scope="module")
def suite():
    return world_suite(0, id_size=20, ood_size=20, kept_size=200)


def test_two_tasks_measure_what_is_kept(suite):
    kept = {name: (other.data.classnames, other.templates) for name, other in suite.transfer.items()}
    assert kept == {name: (names, world.KEPT_TEMPLATES[name]) for name, names in world.KEPT.items()}


def test_zero_shot_has_something_to_keep_in_both_tasks(suite, encoder):
    found = {}
    for name, other in suite.transfer.items():
        embeddings = class_embeddings(encoder, other.data.classnames, other.templates)
        head = LinearHead.zero_shot(embeddings, encoder.logit_scale)
        loader = EvalLoader(other.data, encoder.preprocess, batch_size=100)
        measure = ClassificationMeasure(encoder, lambda head=head: head, loader)
        found[name] = measured(encoder, measure).metrics["top1"]
    assert found["colour"] == pytest.approx(0.955, abs=0.04)  # 200 images: one standard error is 0.015
    assert found["pattern"] == pytest.approx(0.52, abs=0.1)  # and 0.035


def test_nothing_is_trained_on_what_is_kept(suite):
    trained = set(suite.train.keys.tolist())
    assert not any(
        torch.isin(other.data.keys, torch.tensor(list(trained))).any() for other in suite.transfer.values()
    )


def test_a_transfer_set_of_the_world_brings_its_own_prompts(encoder):
    transfer = suite_of(load_config(RECIPE, SMALL), encoder).transfer
    assert {name: other.templates for name, other in transfer.items()} == world.KEPT_TEMPLATES


def test_the_recipe_of_the_world_measures_what_is_kept():
    assert set(load_config(RECIPE).data.transfer) == set(world.KEPT)
