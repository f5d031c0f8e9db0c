"""RepAdapter: the bottleneck behind a norm, its merge into what reads it, and what it refuses."""

import copy

import peft
import pytest
import torch
from adapter.families import build, relative_difference
from reference import repadapter as reference
from torch import nn

from radapter.errors import ConfigError, MergeError, SiteError
from radapter.methods.repadapter import RepAdapterConfig, RepAdapterLayer
from radapter.models.merging import merge_in_place

FAMILIES = ("CLIPModel", "open_clip sequence first", "open_clip custom blocks", "timm ViT", "SiglipModel")
PARTS = ("A", "a", "B", "b")


def layer_of(groups=2, **options):
    """A norm with one random adapter in front of two Linears, in float64."""
    torch.manual_seed(0)
    readers = [nn.Linear(8, 5), nn.Linear(8, 3)]
    layer = RepAdapterLayer(nn.LayerNorm(8), readers, 8)
    layer.update_layer("default", RepAdapterConfig(r=4, groups=groups, scale=0.5, **options))
    for part in PARTS:
        nn.init.normal_(layer._store(part)["default"])
    for reader in readers:
        reader.double()
    return layer.double().eval()


def parts_of(layer, groups=2):
    down, shift, up, bias = (layer._store(part)["default"].detach() for part in PARTS)
    return down, shift, reference.dense(up, groups), bias


X = torch.randn(6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_forward_is_the_sources_equation(groups):
    layer = layer_of(groups)
    expected = reference.adapted(layer.base_layer(X), *parts_of(layer, groups), 0.5)
    assert torch.allclose(layer(X), expected, rtol=1e-12, atol=1e-12)


def test_merge_is_the_sources_equation_and_unmerging_restores_bitwise():
    layer = layer_of()
    before = [copy.deepcopy(reader.state_dict()) for reader in layer.readers]
    expected = [reader(layer(X)) for reader in layer.readers]
    layer.merge()
    for reader, was, output in zip(layer.readers, before, expected, strict=True):
        weight, bias = reference.merged(was["weight"], was["bias"], *parts_of(layer), 0.5)
        assert torch.allclose(reader.weight, weight, rtol=1e-12, atol=1e-12)
        assert torch.allclose(reader.bias, bias, rtol=1e-12, atol=1e-12)
        assert torch.allclose(reader(layer(X)), output, rtol=1e-12, atol=1e-12)
    layer.unmerge()
    for reader, was in zip(layer.readers, before, strict=True):
        assert all(torch.equal(value, was[name]) for name, value in reader.state_dict().items())


def test_the_point_alpha_between_original_and_merged_weights_is_alpha_times_s():
    layer = layer_of()
    original = copy.deepcopy(layer.readers[0])
    layer.merge()
    half = torch.lerp(original.weight, layer.readers[0].weight, 0.3) @ layer.base_layer(X).T
    half = half.T + torch.lerp(original.bias, layer.readers[0].bias, 0.3)
    layer.unmerge()
    layer.configs["default"].scale *= 0.3
    assert torch.allclose(layer.readers[0](layer(X)), half, rtol=1e-12, atol=1e-12)


def test_two_adapters_apply_in_order_and_merge_in_that_order():
    layer = layer_of()
    layer.update_layer("second", RepAdapterConfig(r=4, scale=0.5))
    for part in PARTS:
        store = layer._store(part)
        store["second"] = nn.Parameter(torch.randn_like(store["default"]))
    layer.set_adapter(["default", "second"])
    expected = layer.readers[0](layer(X))
    layer.merge()
    assert torch.allclose(layer.readers[0](layer(X)), expected, rtol=1e-12, atol=1e-12)


def test_dropout_acts_between_the_matrices_in_training_alone():
    layer = layer_of(dropout=0.5)
    assert torch.equal(layer(X), layer(X))
    layer.train()
    assert not torch.equal(layer(X), layer(X))


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_equals_adapted_in_every_family(family):
    module, features = build(family)
    with torch.no_grad():
        base = features()
    model = peft.get_peft_model(module, RepAdapterConfig()).eval()
    with torch.no_grad():
        assert all(torch.equal(*pair) for pair in zip(features(), base, strict=True))
        for layer in (part for part in model.modules() if isinstance(part, RepAdapterLayer)):
            for part in PARTS:
                nn.init.normal_(layer._store(part)["default"], std=0.2)
        adapted = features()
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        model.merge_adapter()
        merged = features()
        model.unmerge_adapter()
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        merge_in_place(module)
        plain = features()
    for got, again, wanted, was in zip(merged, plain, adapted, base, strict=True):
        assert relative_difference(got, wanted) < 1e-5  # float32 rounding of products
        assert torch.equal(got, again)
        assert relative_difference(wanted, was) > 0.01


def test_a_linear_without_a_bias_is_refused_by_name():
    with pytest.raises(SiteError, match=r"'visual.trunk.blocks.0.attn.k_proj' has none"):
        peft.get_peft_model(build("EVA02-B-16")[0], RepAdapterConfig())


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="groups must divide r and the width of the image tower, 32"):
        peft.get_peft_model(build("CLIPModel")[0], RepAdapterConfig(groups=3, r=9, towers=("image",)))


def test_an_adapter_that_is_not_finite_is_refused_by_a_safe_merge():
    layer = layer_of()
    with torch.no_grad():
        layer.repadapter_b["default"][0] = float("inf")
    with pytest.raises(MergeError, match="non-finite weights"):
        layer.merge(safe_merge=True)
    assert not layer.merged
