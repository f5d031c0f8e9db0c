"""Between two states of a module: exact ends, and always back again."""

import pytest
import torch
from torch import nn

from radapter.errors import ConfigError
from radapter.evaluation import Interpolation


def tower(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(dtype)


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def tuned_tower(dtype=torch.float32):
    """A module whose first Linear and statistics have moved, and its state before."""
    module = tower(dtype=dtype)
    original = state(module)
    module(torch.randn(8, 3, dtype=dtype))
    with torch.no_grad():
        module[0].weight.add_(torch.randn_like(module[0].weight))
    return module, original


def same(module, expected):
    return all(torch.equal(tensor, expected[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ends_are_the_two_states_bitwise(dtype):
    module, original = tuned_tower(dtype)
    tuned = state(module)
    interpolation = Interpolation(module, original, module.state_dict())
    with interpolation.at(0):
        assert same(module, original)
    with interpolation.at(1):
        assert same(module, tuned)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_between_the_ends_is_the_weighted_sum(alpha):
    module, original = tuned_tower(torch.float64)
    tuned = state(module)
    with Interpolation(module, original, module.state_dict()).at(alpha):
        expected = (1 - alpha) * original["0.weight"] + alpha * tuned["0.weight"]
        torch.testing.assert_close(module[0].weight.detach(), expected, rtol=1e-15, atol=1e-15)


def test_half_precision_is_summed_in_float32():
    module = nn.Linear(1, 1, bias=False).half()
    ends = {"weight": torch.tensor([[60_000.0]]).half()}, {"weight": torch.tensor([[-60_000.0]]).half()}
    with Interpolation(module, *ends).at(0.5):
        assert module.weight.item() == 0.0  # their difference overflows float16


def test_only_what_differs_is_kept():
    module, original = tuned_tower()
    names = Interpolation(module, original, module.state_dict()).names
    assert set(names) == {"0.weight", "1.running_mean", "1.running_var", "1.num_batches_tracked"}


def test_the_module_returns_bitwise_after_the_block():
    module, original = tuned_tower()
    tuned = state(module)
    with Interpolation(module, original, module.state_dict()).at(0.3):
        assert not same(module, tuned)
    assert same(module, tuned)


def test_the_module_returns_bitwise_after_an_exception():
    module, original = tuned_tower()
    tuned = state(module)
    with pytest.raises(KeyError), Interpolation(module, original, module.state_dict()).at(0.3):
        raise KeyError
    assert same(module, tuned)


def test_blocks_nest():
    module, original = tuned_tower()
    interpolation = Interpolation(module, original, module.state_dict())
    with interpolation.at(0.3):
        outer = state(module)
        with interpolation.at(0):
            assert same(module, original)
        assert same(module, outer)


def test_a_head_beside_the_tower_moves_with_it():
    both = nn.ModuleDict({"tower": tower(), "head": nn.Linear(2, 3)})
    original = state(both)
    with torch.no_grad():
        both["head"].weight.zero_()
    with Interpolation(both, original, both.state_dict()).at(0.5):
        torch.testing.assert_close(both["head"].weight.detach(), original["head.weight"] / 2)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside_its_range_is_refused_before_anything_moves(alpha):
    module, original = tuned_tower()
    tuned = state(module)
    with (
        pytest.raises(ConfigError, match=r"alpha must be in \[0, 1\]"),
        Interpolation(module, original, module.state_dict()).at(alpha),
    ):
        pass
    assert same(module, tuned)


@pytest.mark.parametrize(
    ("original", "tuned", "words"),
    [
        (
            {"weight": torch.ones(2, 2)},
            {"bias": torch.ones(2)},
            "same names. 2 are in only one: bias, weight",
        ),
        (
            {"wieght": torch.ones(2, 2)},
            {"wieght": torch.ones(2, 2)},
            "'wieght' is not. Did you mean 'weight'",
        ),
        ({"weight": torch.ones(2)}, {"weight": torch.ones(2)}, "'weight' must have one shape"),
    ],
)
def test_tensors_that_do_not_fit_are_named(original, tuned, words):
    with pytest.raises(ValueError, match=words):
        Interpolation(nn.Linear(2, 2), original, tuned)
