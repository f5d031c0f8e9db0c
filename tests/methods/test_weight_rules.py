"""Model Stock and LiNeS: rules for the weights of trainings that are done."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import weight_rules as reference
from runs.running import run, tensors

import radapter
from radapter.adapter import block_names
from radapter.methods.lines import lines
from radapter.methods.model_stock import model_stock
from radapter.runs.directory import evaluate_run
from radapter.runs.evaluator import Evaluator
from radapter.storage import read_json

NUMBERS = st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=4, max_size=4)


def tensor(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@given(base=NUMBERS, trainings=st.lists(NUMBERS, min_size=2, max_size=4))
def test_model_stock_is_its_papers_equation(base, trainings):
    found = model_stock({"w": tensor(base)}, [{"w": tensor(each)} for each in trainings])["w"]
    assert torch.allclose(found, tensor(reference.model_stock(base, trainings)), atol=1e-6)


def test_model_stock_by_hand():
    base, right, up = tensor([0.0, 0.0]), tensor([2.0, 0.0]), tensor([0.0, 2.0])
    half = tensor([2 * math.cos(math.pi / 3), 2 * math.sin(math.pi / 3)])  # at 60 degrees of `right`

    def stock(*trainings):
        return model_stock({"w": base}, [{"w": each} for each in trainings])["w"]

    assert torch.allclose(stock(right, right), right)  # cos 1: the mean
    assert torch.allclose(stock(right, up), base)  # cos 0: the base
    assert torch.allclose(stock(right, -right + up / 9), base)  # negative: limited to the base
    assert torch.allclose(stock(right, half), (right + half) / 2 * (2 * 0.5 / 1.5))


@given(base=NUMBERS, tuned=NUMBERS, alpha=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_lines_is_its_papers_equation(base, tuned, alpha):
    places = {"a.0": (0, 3), "a.1": (1, 3), "a.2": (2, 3), "a.10": (0, 1)}
    weights = {f"{name}.w": tensor(base) for name in places} | {"head": tensor(base)}
    ends = {name: tensor(tuned) for name in weights}
    found = lines(weights, ends, places, alpha)
    for name, number in {"a.0.w": 1, "a.1.w": 2, "a.2.w": 3, "head": None}.items():
        assert torch.allclose(found[name], tensor(reference.lines(base, tuned, alpha, number, 3)))
    assert torch.allclose(found["a.10.w"], tensor(tuned))  # a tower of one block; "a.1" is another


def test_stock_is_of_two_trainings_with_seeds_of_their_own(suite, recipe, tmp_path):
    results = run(tmp_path / "stock", suite, recipe, "model-stock")
    row, trained = results.row("model-stock"), read_json(tmp_path / "stock" / "trained.json")
    assert trained["epochs"] == 2 * recipe.epochs
    assert row.learning_rate == recipe.learning_rate
    run(tmp_path / "full", suite, recipe, "full")
    stocked, single = tensors(tmp_path / "stock"), tensors(tmp_path / "full")
    assert stocked.keys() - {"pseudo_values.safetensors"} == single.keys()
    assert any(not torch.equal(stocked[name], single[name]) for name in single if name.startswith("weights"))


def test_lines_keeps_the_last_block_and_scales_the_first(suite, recipe, tmp_path):
    run(tmp_path / "full", suite, recipe, "full")
    found = run(tmp_path / "lines", suite, recipe, "lines")
    full, scaled = (tensors(tmp_path / name) for name in ("full", "lines"))
    base = radapter.load("world:tiny")
    blocks = block_names(base.module, ("image",))
    moves = {}
    for number in (0, len(blocks) - 1):
        name = f"encoder.module.{blocks[number]}.mlp.fc1.weight"
        start = base.state_dict()[name.removeprefix("encoder.")]
        key = f"weights.safetensors/{name}"
        moves[number] = ((scaled[key] - start).norm() / (full[key] - start).norm()).item()
    assert moves[len(blocks) - 1] == pytest.approx(1.0, abs=1e-5)
    assert moves[0] * 10 == pytest.approx(round(moves[0] * 10), abs=1e-3)  # one of 0, 0.1 .. 1
    again = evaluate_run(tmp_path / "lines", radapter.load("world:tiny"), Evaluator(suite, base, recipe))
    assert again.row("lines").id == found.row("lines").id
