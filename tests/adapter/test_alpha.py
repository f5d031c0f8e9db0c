from types import SimpleNamespace

import peft
import pytest
import torch
from adapter.families import build
from torch import nn

from radapter.adapter import RAdapterConfig, set_alpha
from radapter.errors import ConfigError, MergeError


@pytest.fixture
def model():
    return peft.get_peft_model(build("timm ViT")[0], RAdapterConfig(init_weights=False)).eval()


@pytest.mark.parametrize(
    "reach", [lambda m: m, lambda m: m.base_model.model, lambda m: SimpleNamespace(module=m)]
)
def test_set_alpha_reaches_a_peft_model_its_module_and_what_holds_one(model, reach):
    set_alpha(reach(model), 0.25)
    assert model.peft_config["default"].alpha == 0.25


def test_as_a_context_manager_it_restores_even_on_an_exception(model):
    with pytest.raises(RuntimeError), set_alpha(model, 0.5):  # noqa: PT012
        assert model.peft_config["default"].alpha == 0.5
        raise RuntimeError
    assert model.peft_config["default"].alpha == 1.0


def test_only_active_adapters_change(model):
    model.add_adapter("other", RAdapterConfig())
    set_alpha(model, 0.5)
    assert model.peft_config["other"].alpha == 1.0


def test_features_move_with_alpha(model):
    images = torch.randn(2, 3, 32, 32)
    features = {}
    for alpha in (0.0, 0.5, 1.0):
        with set_alpha(model, alpha), torch.no_grad():
            features[alpha] = model(images)
    assert not torch.allclose(features[0.5], features[0.0])
    assert not torch.allclose(features[0.5], features[1.0])


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), "half"])
def test_alpha_outside_its_range_is_an_error_that_changes_nothing(model, alpha):
    with pytest.raises(ConfigError, match=r"alpha must be in \[0, 1\]"):
        set_alpha(model, alpha)
    assert model.peft_config["default"].alpha == 1.0


def test_a_model_without_adapters_is_an_error():
    with pytest.raises(ConfigError, match="must have an active R-Adapter"):
        set_alpha(nn.Linear(2, 2), 0.5)


def test_merged_adapters_are_an_error_because_alpha_could_not_act(model):
    model.merge_adapter()
    with pytest.raises(MergeError, match="before merging"):
        set_alpha(model, 0.5)
