import copy
import warnings

import peft
import pytest
import timm
import torch
from adapter.families import build
from torch import nn

from radapter.adapter import RAdapterConfig, RAdapterLayer
from radapter.errors import ConfigError, SiteError


def adapted_names(module, **options):
    """Names of the modules that carry an adapter."""
    peft.get_peft_model(module, RAdapterConfig(**options))
    return [name for name, part in module.named_modules() if isinstance(part, RAdapterLayer)]


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 2)

    def forward(self, rows):
        for layer in self.layers:
            rows = layer(rows).relu()
        return self.head(self.norm(rows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0}, "r must be None, for the full matrix, or an int >= 1. Got 0"),
        ({"r": 2.0}, "r must be None, for the full matrix, or an int"),
        ({"alpha": 1.5}, r"alpha must be in \[0, 1\]. Got 1.5"),
        ({"alpha": -0.1}, r"alpha must be in \[0, 1\]"),
        ({"adapter_drop": 1.0}, r"adapter_drop must be in \[0, 1\). Got 1.0"),
        ({"init_scale": 0.0}, r"init_scale must be finite and not 0"),
        ({"towers": ("img",)}, "towers must be in"),
        ({"towers": ()}, r"at least one"),
        ({"target_modules": []}, r"target_modules must be"),
        ({"modules_to_save": "head"}, r"modules_to_save must be a list"),
        ({"layers_to_transform": -1}, r"layers_to_transform must hold ints >= 0"),
    ],
)
def test_a_value_out_of_range_is_an_error_with_name_range_and_value(options, message):
    with pytest.raises(ConfigError, match=message):
        RAdapterConfig(**options)


def test_a_rank_above_the_narrowest_width_is_an_error_before_the_model_is_touched():
    module, _ = build("CLIPModel")
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ConfigError, match=r"r must be None or an int in \[1, 32\].*Got 33"):
        peft.get_peft_model(module, RAdapterConfig(r=33))
    assert list(module.state_dict()) == list(before)
    assert not hasattr(module, "peft_config")


def test_the_configuration_survives_a_file(tmp_path):
    config = RAdapterConfig(
        r=3, alpha=0.4, towers=("image",), exclude_modules=["fc2"], layers_to_transform=[1]
    )
    config.save_pretrained(tmp_path)
    assert peft.PeftConfig.from_pretrained(tmp_path) == config


def test_loading_keeps_the_configuration_object_that_it_was_given(tmp_path):
    config = RAdapterConfig(r=2, alpha=0.5)
    peft.get_peft_model(build("timm ViT")[0], config).save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(build("timm ViT")[0], tmp_path, config=config)
    assert loaded.peft_config["default"] is config
    assert all(m.configs["default"] is config for m in loaded.modules() if isinstance(m, RAdapterLayer))


def test_a_configuration_used_twice_gives_adapters_with_an_alpha_each():
    config, models = RAdapterConfig(), [build("timm ViT")[0] for _ in range(2)]
    first, second = [peft.get_peft_model(model, config) for model in models]
    first.peft_config["default"].alpha = 0.2
    assert second.peft_config["default"].alpha == config.alpha == 1.0


def test_towers_adapt_one_tower():
    assert all(
        name.startswith("text_model") for name in adapted_names(build("CLIPModel")[0], towers=("text",))
    )


def test_layers_to_transform_adapt_those_blocks_of_every_tower():
    names = adapted_names(build("CLIPModel")[0], layers_to_transform=[1])
    assert len(names) == 4
    assert all(".layers.1." in name for name in names)


def test_exclude_modules_leave_sites_out():
    assert all(
        name.endswith("out_proj") for name in adapted_names(build("CLIPModel")[0], exclude_modules=["fc2"])
    )
    assert all(
        name.endswith("fc2") for name in adapted_names(build("CLIPModel")[0], exclude_modules=r".*out_proj")
    )


def test_target_modules_adapt_any_module_by_name_or_expression():
    assert adapted_names(Mlp(), target_modules=["layers.0"]) == ["layers.0"]
    assert adapted_names(Mlp(), target_modules=r"layers\.\d") == ["layers.0", "layers.1"]
    assert adapted_names(Mlp(), target_modules="all-linear") == ["layers.0", "layers.1", "head"]
    assert adapted_names(Mlp(), target_modules=["layers.0", "layers.1"], layers_to_transform=1) == [
        "layers.1"
    ]


def test_target_modules_in_a_known_block_keep_the_sample_axis_of_the_block():
    module = build("open_clip sequence first")[0]
    names = adapted_names(module, target_modules=["c_proj"], towers=("text",))
    assert all(name.startswith("text") for name in names)
    assert {module.get_submodule(name).site.sample_axis for name in names} == {1}


def test_modules_to_save_are_trained_and_carry_no_adapter():
    module = Mlp()
    names = adapted_names(module, target_modules="all-linear", modules_to_save=["head"])
    assert names == ["layers.0", "layers.1"]
    assert module.head.modules_to_save["default"].weight.requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_modules": ["layer.0"]}, "target_modules must match .*'layer.0' matches none.*Did you mean"),
        ({"target_modules": ["layers.0", "fc9"]}, "'fc9' matches none"),
        ({"target_modules": ["norm"]}, "'norm' must be an nn.Linear .*Got LayerNorm"),
        ({"target_modules": ["head"], "exclude_modules": ["layers.0"]}, "exclude_modules must match"),
        ({"target_modules": ["head"], "exclude_modules": ["head"]}, "leave no adapter site"),
        ({"target_modules": ["layers.0"], "layers_to_transform": [7]}, r"among \[0\]. Got 7"),
        (
            {"target_modules": ["head"], "modules_to_save": ["hed"]},
            "modules_to_save must end a module's name",
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error_before_the_model_is_touched(options, message):
    module = Mlp()
    with pytest.raises(SiteError, match=message):
        peft.get_peft_model(module, RAdapterConfig(**options))
    assert not any(isinstance(part, RAdapterLayer) for part in module.modules())


@pytest.mark.parametrize("target", ["self_attn", "linear2", "self_attn.out_proj"])
def test_a_target_inside_a_transformer_encoder_layer_is_an_error_that_names_it(target):
    with pytest.raises(SiteError, match=r"is an nn.TransformerEncoderLayer: in evaluation its fast path"):
        adapted_names(nn.TransformerEncoderLayer(8, 2), target_modules=[target])


def test_a_target_that_is_read_but_never_called_is_an_error_that_names_the_module_to_target():
    decoder = nn.TransformerDecoderLayer(8, 2)
    with pytest.raises(
        SiteError, match=r"'self_attn', a MultiheadAttention, reads its weight .*target 'self_attn'"
    ):
        adapted_names(decoder, target_modules=["self_attn.out_proj"])
    assert adapted_names(decoder, target_modules=["self_attn"]) == ["self_attn"]
    with pytest.raises(SiteError, match="EvaAttention"):
        adapted_names(timm.models.Eva(depth=1, embed_dim=32, num_heads=2), target_modules=["qkv"])


def test_a_module_with_another_kind_of_adapter_is_an_error():
    module = Mlp()
    peft.get_peft_model(module, peft.LoraConfig(target_modules=["head"]))
    with warnings.catch_warnings(), pytest.raises(SiteError, match="adapter of another kind"):  # noqa: PT012
        warnings.simplefilter("ignore")  # PEFT's, about adapting twice
        peft.get_peft_model(module, RAdapterConfig(target_modules=["head"]))


def test_adapters_follow_the_device_and_dtype_of_their_module():
    module = Mlp().to(torch.bfloat16)
    kept = peft.get_peft_model(module, RAdapterConfig(target_modules=["head"]), autocast_adapter_dtype=False)
    assert module.head.radapter_A["default"].dtype == torch.bfloat16
    kept.unload()
    peft.get_peft_model(module, RAdapterConfig(target_modules=["head"]))
    assert module.head.radapter_A["default"].dtype == torch.float32
