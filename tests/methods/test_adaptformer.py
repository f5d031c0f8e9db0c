"""AdaptFormer: the branch beside the FFN, its scale, and what it refuses."""

import copy

import peft
import pytest
import timm
import torch
from adapter.families import build
from reference import adaptformer as reference
from torch import nn

from radapter.adapter import set_alpha
from radapter.adapter.sites import block_names
from radapter.errors import MergeError, SiteError
from radapter.methods.adaptformer import AdaptFormerConfig, AdaptFormerLayer
from radapter.models.merging import adapted_copy, merge_in_place

FAMILIES = ("CLIPModel", "open_clip sequence first", "open_clip custom blocks", "timm ViT")


def adapted(family, **options):
    """A model with branches that do something, its features, and those of the base."""
    module, features = build(family)
    module.double()
    with torch.no_grad():
        base = features()
    model = peft.get_peft_model(module, AdaptFormerConfig(r=3, **options)).eval()
    torch.manual_seed(0)
    for layer in layers_of(model):
        for part in (layer.adaptformer_down["default"], layer.adaptformer_up["default"]):
            for parameter in part.parameters():
                nn.init.normal_(parameter, std=0.5)
            part.double()
    return model, features, base


def layers_of(model) -> list[AdaptFormerLayer]:
    return [part for part in model.modules() if isinstance(part, AdaptFormerLayer)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_every_block_is_the_residual_input_plus_ffn_plus_the_scaled_branch(family, alpha):
    model, features, _ = adapted(family, alpha=alpha)
    module = model.base_model.model
    seen = {}

    def keep(name):
        return lambda part, inputs, output=None: seen.update({name: inputs[0] if output is None else output})

    for block in block_names(module):
        part = module.get_submodule(block)
        norm = next(n for n in ("layer_norm2", "ln_2", "norm2") if hasattr(part, n))
        getattr(part, norm).register_forward_pre_hook(keep((block, "input")))
        part.mlp.base_layer.register_forward_hook(keep((block, "ffn")))
        part.register_forward_hook(keep((block, "output")))
    with torch.no_grad():
        features()
    for block in block_names(module):
        layer = module.get_submodule(block).mlp
        x, ffn, output = (seen[block, kind] for kind in ("input", "ffn", "output"))
        down, up = layer.adaptformer_down["default"], layer.adaptformer_up["default"]
        expected = x + ffn + reference.branch(x, down, up, 0.1 * alpha)
        output = output[0] if isinstance(output, tuple) else output
        assert torch.allclose(output, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_alpha_0_is_the_base_model_and_alpha_acts_in_evaluation_alone(family):
    model, features, base = adapted(family)
    with torch.no_grad():
        with set_alpha(model, 0.0):
            assert all(torch.equal(*pair) for pair in zip(features(), base, strict=True))
        tuned = features()
        assert not any(torch.allclose(*pair) for pair in zip(tuned, base, strict=True))
        for layer in layers_of(model):
            layer.train()
            layer.configs["default"].dropout = 0.0
        with set_alpha(model, 0.0):
            assert all(torch.allclose(*pair) for pair in zip(features(), tuned, strict=True))


def test_the_defaults_are_those_of_the_source():
    layer = AdaptFormerLayer(nn.Linear(8, 8), nn.LayerNorm(8), 8)
    layer.update_layer("default", AdaptFormerConfig())
    down, up = layer.adaptformer_down["default"], layer.adaptformer_up["default"]
    config = layer.configs["default"]
    assert (down.weight.shape, up.weight.shape) == ((64, 8), (8, 64))
    assert (config.scale, config.dropout) == (0.1, 0.1)
    assert all(not tensor.any() for tensor in (up.weight, up.bias, down.bias))
    assert down.weight.abs().max() <= 8**-0.5  # Kaiming-uniform with a = sqrt(5)


def test_a_copy_keeps_the_inputs_of_its_own_norms():
    model, features, _ = adapted("CLIPModel")
    before = features()
    twin = adapted_copy(model)
    for layer in layers_of(model):
        nn.init.zeros_(layer.adaptformer_up["default"].weight)
    for layer, other in zip(layers_of(twin), layers_of(model), strict=True):
        assert layer.base_layer is not other.base_layer
    tokens = torch.ones(1, 16, dtype=torch.long)
    twin.get_text_features(input_ids=tokens)
    assert all(layer._input is None for layer in layers_of(model))
    assert before is not None


def test_merging_is_refused_and_unloading_gives_the_plain_model_back():
    model, features, base = adapted("CLIPModel")
    with pytest.raises(MergeError, match="AdaptFormer cannot be merged: its ReLU"):
        merge_in_place(copy.deepcopy(model.base_model.model))
    with pytest.raises(MergeError, match="cannot be merged"):
        model.merge_adapter()
    plain = model.unload()
    assert not any(isinstance(part, AdaptFormerLayer) for part in plain.modules())
    assert not any(part._forward_pre_hooks for part in plain.modules())
    with torch.no_grad():
        assert all(torch.equal(*pair) for pair in zip(features(), base, strict=True))


def test_a_tower_that_scales_the_output_of_its_ffn_is_refused_by_name():
    scaled = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=0, init_values=0.1)
    with pytest.raises(SiteError, match=r"'blocks.0.ls2' scales that output"):
        peft.get_peft_model(scaled, AdaptFormerConfig())
    post = timm.create_model("vit_relpos_small_patch16_rpn_224", img_size=32, depth=1, num_classes=0)
    with pytest.raises(SiteError):
        peft.get_peft_model(post, AdaptFormerConfig())
