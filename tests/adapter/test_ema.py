import copy

import peft
import pytest
import torch
from adapter.families import build
from reference.ema import averaged
from torch import nn

from radapter.adapter import Ema, RAdapterConfig, RAdapterLayer, auto_decay, set_alpha
from radapter.errors import ConfigError, MergeError


class WithHead(nn.Module):
    """An adapted tower with a head that is trained beside it."""

    def __init__(self, **options):
        super().__init__()
        torch.manual_seed(0)
        self.tower, _ = build("timm ViT")
        self.peft = peft.get_peft_model(
            self.tower, RAdapterConfig(init_weights=False, adapter_drop=0.0, **options)
        )
        self.head = nn.Linear(192, 3)

    def forward(self, images):
        return self.head(self.peft(images))


def trained(model):
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def train(model, ema, steps):
    """Random steps; the value of every trained tensor after each."""
    history = {name: [value.detach().clone()] for name, value in trained(model).items()}
    for _ in range(steps):
        with torch.no_grad():
            for name, value in trained(model).items():
                value.add_(torch.randn_like(value))
                history[name].append(value.clone())
        ema.update()
    return history


@pytest.mark.parametrize("make", [lambda: WithHead(), lambda: WithHead(r=2), lambda: nn.Linear(3, 3)])
def test_the_average_is_the_literal_one_for_adapters_heads_and_plain_models(make):
    model = make()
    ema = Ema(model, decay=0.9)
    history = train(model, ema, steps=5)
    state = ema.state_dict()
    assert set(state) == set(history)
    # 1e-5: five float32 steps on values of size one
    assert all(
        torch.allclose(state[name].double(), averaged(history[name], 0.9), atol=1e-5) for name in history
    )


def test_it_starts_as_a_frozen_inactive_copy_named_ema():
    model = WithHead()
    before = list(trained(model))
    Ema(model)
    layer = next(part for part in model.modules() if isinstance(part, RAdapterLayer))
    assert torch.equal(layer.radapter_A["ema"], layer.radapter_A["default"])
    assert layer.radapter_A["ema"] is not layer.radapter_A["default"]
    assert list(trained(model)) == before
    assert layer.active_adapters == ["default"]
    assert list(model.peft.peft_config) == ["default", "ema"]


@pytest.mark.parametrize("make", [WithHead, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))])
def test_applied_runs_with_the_average_and_restores_bitwise_on_an_exception(make):
    model, images = make().eval(), torch.randn(2, 3, 32, 32)
    ema = Ema(model, decay=0.5)
    start = model(images)
    train(model, ema, steps=1)
    raw, flags = model(images), {name: value.requires_grad for name, value in model.named_parameters()}
    with pytest.raises(RuntimeError), ema.applied():  # noqa: PT012
        assert not torch.allclose(model(images), raw)
        assert not torch.allclose(model(images), start)
        raise RuntimeError
    assert torch.equal(model(images), raw)
    assert {name: value.requires_grad for name, value in model.named_parameters()} == flags


def test_decay_one_keeps_the_start_and_decay_zero_follows():
    for decay, index in ((1.0, 0), (0.0, -1)):
        model = nn.Linear(3, 3)
        ema = Ema(model, decay=decay)
        history = train(model, ema, steps=3)
        assert all(torch.allclose(value, history[name][index]) for name, value in ema.state_dict().items())


def test_inside_applied_alpha_and_merging_mean_the_average():
    model, images = WithHead().eval(), torch.randn(2, 3, 32, 32)
    ema = Ema(model, decay=0.5)
    train(model, ema, steps=2)
    raw = model(images)
    with ema.applied():
        set_alpha(model, 0.5)
        expected = model(images)
        model.peft.merge_adapter()
        assert torch.allclose(model(images), expected, atol=1e-5)
    assert model.peft.peft_config["ema"].alpha == 0.5
    assert model.peft.peft_config["default"].alpha == 1.0
    assert torch.equal(model(images), raw)


def test_merge_and_unload_inside_applied_keeps_the_merged_average():
    model, images = WithHead().eval(), torch.randn(2, 3, 32, 32)
    ema = Ema(model.peft, decay=0.5)
    train(model.peft, ema, steps=2)
    with ema.applied():
        expected = model.peft(images)
        plain = model.peft.merge_and_unload()
    assert torch.allclose(plain(images), expected, atol=1e-5)


def test_an_adapted_module_without_its_peft_model_is_enough():
    model = WithHead()
    Ema(model.tower)
    model.peft.set_adapter("ema")
    assert model.peft.active_adapter == "ema"
    model.peft.set_adapter("default")
    model.peft.delete_adapter("ema")
    assert list(model.peft.peft_config) == ["default"]


def test_modules_to_save_are_averaged_with_the_adapter():
    model = peft.get_peft_model(
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)),
        RAdapterConfig(target_modules=["0"], modules_to_save=["1"], init_weights=False),
    ).eval()
    ema, rows = Ema(model, decay=0.5), torch.randn(3, 4)
    history = train(model, ema, steps=2)
    with ema.applied():
        by_block = model(rows)
    model.set_adapter("ema")
    assert torch.equal(model(rows), by_block)
    assert any(".modules_to_save." in name for name in history)


def test_the_average_is_saved_by_peft_under_its_name(tmp_path):
    model = WithHead()
    ema = Ema(model.peft, decay=0.5)
    train(model.peft, ema, steps=1)
    model.peft.save_pretrained(tmp_path, selected_adapters=["ema"])
    loaded = peft.PeftModel.from_pretrained(build("timm ViT")[0], tmp_path / "ema")
    images = torch.randn(2, 3, 32, 32)
    with ema.applied():
        assert torch.equal(loaded(images), model.peft.eval()(images))


def test_state_continues_exactly_and_other_states_are_refused():
    model = WithHead()
    ema = Ema(model, decay=0.9)
    train(model, ema, steps=2)
    state = copy.deepcopy(ema.state_dict())
    other = Ema(WithHead(), decay=0.9)
    other.load_state_dict(state)
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())
    with pytest.raises(ConfigError, match=r"Missing: \['head.bias'\]"):
        other.load_state_dict({name: value for name, value in state.items() if name != "head.bias"})


def test_half_precision_parameters_have_a_float32_average():
    model = nn.Linear(3, 3, dtype=torch.bfloat16)
    ema = Ema(model)
    train(model, ema, steps=1)
    assert {value.dtype for value in ema.state_dict().values()} == {torch.float32}
    with ema.applied():
        assert model.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda model: model.requires_grad_(False), "has no trainable parameters"),
        (lambda model: Ema(model), 'has an adapter "ema" already'),
    ],
)
def test_a_model_that_cannot_be_averaged_is_an_error(prepare, message):
    model = WithHead()
    prepare(model)
    with pytest.raises(ConfigError, match=message):
        Ema(model)


def test_wrong_calls_are_errors():
    model = WithHead()
    ema = Ema(model)
    with ema.applied(), pytest.raises(RuntimeError, match="outside applied"):
        ema.update()
    model.peft.merge_adapter()
    with pytest.raises(MergeError, match="must not be merged"), ema.applied():
        pass
    with pytest.raises(ConfigError, match=r"decay must be in \[0, 1\]"):
        Ema(nn.Linear(2, 2), decay=1.5)


@pytest.mark.parametrize(("steps", "decay"), [(1, 0.0), (25, 0.0), (50, 0.5), (1000, 0.975), (10**6, 0.999)])
def test_auto_decay_fits_the_number_of_steps(steps, decay):
    assert auto_decay(steps) == pytest.approx(decay)


def test_auto_decay_of_no_steps_is_an_error():
    with pytest.raises(ConfigError, match="at least 1"):
        auto_decay(0)
