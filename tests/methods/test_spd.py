"""SPD: the projection after AdamW's step."""

import copy

import pytest
import torch
from reference import spd as reference
from runs.running import run, same, tensors

from radapter.methods import METHODS, MethodSettings
from radapter.methods.spd import SpdSettings
from radapter.training.optimization import Optimization
from radapter.training.selective_projection import SelectiveProjection

RATE = 0.1


def steps(strength: float, count: int = 40):
    """Yields start, before, after AdamW alone, gradient, and after SPD, on a random walk of two tensors."""
    generator = torch.Generator().manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(n, generator=generator).double()) for n in (3, 5)]
    starts = [p.detach().clone() for p in ours]
    spd = SelectiveProjection([{"params": ours, "lr": RATE}], strength=strength, weight_decay=0.0)
    for _ in range(count):
        before = [p.detach().clone() for p in ours]
        twins = [torch.nn.Parameter(p.clone()) for p in before]
        adam = torch.optim.AdamW([{"params": twins, "lr": RATE}], weight_decay=0.0)
        state = copy.deepcopy(spd.state_dict()["state"])  # the optimizers would share its tensors
        adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})
        gradients = [torch.randn(p.shape, generator=generator).double() for p in ours]
        for parameters in (ours, twins):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
        adam.step()
        spd.step()
        yield from zip(starts, before, twins, gradients, ours, strict=True)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_every_step_is_the_sources_equation(strength):
    projected = 0
    for start, before, after, gradient, found in steps(strength):
        numbers = (tensor.detach().tolist() for tensor in (start, before, after, gradient))
        expected = torch.tensor(reference.projected(*numbers, strength), dtype=torch.float64)
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
        projected += not torch.allclose(found, after)
    assert 5 < projected < 75


def test_strength_1_never_lets_a_selected_tensor_move_away():
    for start, before, after, gradient, found in steps(1.0):
        if (gradient * (before - start)).sum() > 0 and (after - start).norm() > (before - start).norm():
            assert (found - start).norm().item() == pytest.approx((before - start).norm().item())


def test_strength_0_is_adamw():
    assert Optimization(1, 1e-3).projection == MethodSettings().projection == 0.0
    for _, _, after, _, found in steps(0.0):
        assert torch.equal(found, after)


def test_a_run_stays_nearer_to_the_start_than_full(suite, recipe, tmp_path):
    for name in ("full", "spd"):
        run(tmp_path / name, suite, recipe, name)
    full, spd = (tensors(tmp_path / name) for name in ("full", "spd"))
    assert not same(full, spd)
    keys = [key for key in full if key.startswith("weights.safetensors/") and key.endswith("weight")]
    from radapter import load

    start = load("world:tiny").state_dict()
    names = {key: key.removeprefix("weights.safetensors/encoder.") for key in keys}

    def distance(weights):
        return sum(float((weights[key] - start[name]).square().sum()) for key, name in names.items())

    assert distance(spd) < distance(full)


def test_the_strength_is_a_setting():
    assert METHODS["spd"].settings(SpdSettings(strength=0.5)).projection == 0.5
