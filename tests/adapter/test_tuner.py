import pickle
import subprocess
import sys
from functools import partial

import open_clip
import peft
import pytest
import torch
from adapter.families import build, open_clip_model, relative_difference
from peft.utils import PeftType
from torch import nn

from radapter.adapter import RAdapterConfig, RAdapterLayer, RAdapterModel, set_alpha
from radapter.adapter.registration import register_tuner
from radapter.errors import ConfigError, MergeError


@pytest.fixture
def encoder():
    """A tiny transformers CLIP, and a call that gives its features."""
    return build("CLIPModel")


def adapt(module, **options):
    torch.manual_seed(1)
    return peft.get_peft_model(module, RAdapterConfig(init_weights=False, **options)).eval()


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def close(first, second):
    return all(relative_difference(a, b) < 1e-5 for a, b in zip(first, second, strict=True))


def layers_of(model):
    return [part for part in model.modules() if isinstance(part, RAdapterLayer)]


def test_peft_knows_the_method_by_name_and_by_pickle():
    assert PeftType("RADAPTER") is PeftType.RADAPTER is pickle.loads(pickle.dumps(PeftType.RADAPTER))
    assert PeftType.RADAPTER in list(PeftType)
    assert peft.get_peft_config({"peft_type": "RADAPTER", "r": 2}).r == 2


def test_registering_again_changes_nothing():
    register_tuner("radapter", config=RAdapterConfig, tuner=RAdapterModel)
    assert [member.name for member in PeftType].count("RADAPTER") == 1


def test_get_peft_model_adapts_in_place_and_trains_the_adapters_only(encoder):
    module, features = encoder
    base = features()
    model = adapt(module)
    assert isinstance(model.base_model, RAdapterModel)
    assert not same(features(), base)
    trained = {name for name, value in module.named_parameters() if value.requires_grad}
    assert trained == {name for name, _ in module.named_parameters() if "radapter_" in name}


def test_full_rank_vit_b_16_has_20_45_million_parameters_and_its_checkpoint_nothing_else():
    with torch.device("meta"):  # shapes alone
        model = peft.get_peft_model(open_clip_model(open_clip.get_model_config("ViT-B-16")), RAdapterConfig())
    matrices = 12 * 2 * (768**2 + 512**2)
    assert matrices == 20_447_232
    assert model.get_nb_trainable_parameters()[0] == matrices + 48
    saved = peft.get_peft_model_state_dict(model)  # what `save_pretrained` writes
    assert len(saved) == 2 * 48
    assert sum(value.numel() for value in saved.values()) == matrices + 48


def test_rank_sets_the_parameter_count(encoder):
    assert adapt(encoder[0], r=3).get_nb_trainable_parameters()[0] == 8 * (2 * 3 * 32 + 1)


@pytest.mark.parametrize("r", [None, 2])
def test_saved_adapters_load_with_their_alpha(encoder, tmp_path, r):
    module, features = encoder
    model = adapt(module, r=r)
    set_alpha(model, 0.3)
    expected = features()
    model.save_pretrained(tmp_path)
    fresh, fresh_features = build("CLIPModel")
    loaded = peft.PeftModel.from_pretrained(fresh, tmp_path)
    assert loaded.peft_config["default"].alpha == 0.3
    assert same(fresh_features(), expected)
    assert not any(value.requires_grad for value in loaded.parameters())


def test_adapters_load_without_a_second_copy_in_memory(encoder, tmp_path):
    module, features = encoder
    adapt(module).save_pretrained(tmp_path)
    fresh, fresh_features = build("CLIPModel")
    peft.PeftModel.from_pretrained(fresh, tmp_path, low_cpu_mem_usage=True)
    assert same(fresh_features(), features())


def test_loading_for_training_makes_the_adapters_trainable(encoder, tmp_path):
    adapt(encoder[0]).save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(build("CLIPModel")[0], tmp_path, is_trainable=True)
    assert loaded.get_nb_trainable_parameters()[0] == 8 * (32 * 32 + 1)


def test_from_pretrained_needs_no_more_than_the_import_which_brings_neither_open_clip_nor_timm(
    encoder, tmp_path
):
    adapt(encoder[0]).save_pretrained(tmp_path / "adapter")
    build("CLIPModel")[0].save_pretrained(tmp_path / "base")
    code = (
        "import sys, radapter.adapter; print({'open_clip', 'timm'} & set(sys.modules))\n"
        "import peft, transformers\n"
        f"base = transformers.CLIPModel.from_pretrained({str(tmp_path / 'base')!r})\n"
        f"print(type(peft.PeftModel.from_pretrained(base, {str(tmp_path / 'adapter')!r}).base_model).__name__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["set()", "RAdapterModel"], result.stderr


def test_several_adapters_switch_delete_and_disable(encoder):
    module, features = encoder
    base = features()
    model = adapt(module)
    first = features()
    model.add_adapter("second", RAdapterConfig(r=2, init_weights=False))
    assert same(features(), first)
    model.set_adapter("second")
    second = features()
    assert not same(second, first)
    with model.disable_adapter():
        assert same(features(), base)
    model.set_adapter("default")
    model.delete_adapter("second")
    assert same(features(), first)
    assert all(list(layer.configs) == ["default"] for layer in layers_of(model))


def test_a_second_adapter_may_sit_elsewhere(encoder):
    module, features = encoder
    model = adapt(module, towers=("image",))
    first = features()
    model.add_adapter("text", RAdapterConfig(towers=("text",), init_weights=False))
    assert same(features(), first)
    model.set_adapter("text")
    image, text = features()
    assert not torch.equal(image, first[0])
    assert not torch.equal(text, first[1])


def test_two_active_adapters_apply_and_merge_in_their_order(encoder):
    module, features = encoder
    model = adapt(module)
    model.add_adapter("second", RAdapterConfig(init_weights=False))
    model.base_model.set_adapter(["default", "second"])
    expected = features()
    model.merge_adapter()
    assert close(features(), expected)


def test_merge_adapter_and_unmerge_adapter_go_back_bitwise(encoder):
    module, features = encoder
    model = adapt(module)
    expected, before = features(), {name: value.clone() for name, value in model.state_dict().items()}
    model.merge_adapter(safe_merge=True)
    assert close(features(), expected)
    model.unmerge_adapter()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_merging_twice_warns_and_changes_nothing(encoder):
    model = adapt(encoder[0])
    model.merge_adapter()
    once = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.warns(UserWarning, match="All adapters are already merged"):
        model.merge_adapter()
    assert all(torch.equal(value, once[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["CLIPModel", "ViT-B-32"])
def test_merge_and_unload_gives_a_plain_model(name):
    module, features = build(name)
    types = [type(part) for part in module.modules()]
    model = adapt(module)
    expected = features()
    merged = model.merge_and_unload(safe_merge=True)
    assert [type(part) for part in merged.modules()] == types
    assert close(features(), expected)


def test_merge_and_unload_after_merging_changes_no_weight_again(encoder):
    module, features = encoder
    model = adapt(module)
    model.merge_adapter()
    expected = features()
    with pytest.warns(UserWarning, match="already merged"):
        model.merge_and_unload()
    assert same(features(), expected)


@pytest.mark.parametrize("verb", ["merge_adapter", "merge_and_unload"])
def test_safe_merge_with_a_broken_last_layer_changes_nothing_anywhere(encoder, verb):
    model = adapt(encoder[0])
    layers_of(model)[-1].radapter_A["default"].data.fill_(torch.nan)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(MergeError, match=r"non-finite weights at .*Nothing was merged"):
        getattr(model, verb)(safe_merge=True)
    assert all(
        torch.allclose(v, before[name], equal_nan=True, rtol=0, atol=0)
        for name, v in model.state_dict().items()
    )
    assert not any(layer.merged for layer in layers_of(model))


def test_safe_merge_raises_what_peft_documents():
    assert issubclass(MergeError, ValueError)


def test_merging_an_unknown_adapter_is_an_error(encoder):
    with pytest.raises(ConfigError, match=r"'defalt'. Did you mean 'default'"):
        adapt(encoder[0]).merge_adapter(["defalt"])


def test_unload_gives_the_base_back(encoder):
    module, features = encoder
    base = features()
    assert adapt(module).unload() is module
    assert same(features(), base)
    assert not layers_of(module)


def test_modules_to_save_are_saved_and_loaded_with_the_adapter(tmp_path):
    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))

    rows = torch.randn(3, 4)
    model = adapt(network(), target_modules=["0"], modules_to_save=["1"])
    model.base_model.model[1].modules_to_save["default"].weight.data.add_(1.0)
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(network(), tmp_path)
    assert torch.equal(loaded(rows), model(rows))


def test_the_adapted_towers_train_under_autocast_and_gradient_checkpointing():
    module, features = build("CLIPModel", batch=8)
    model = adapt(module).train()
    _checkpointing(module, True)
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16):
        sum(value.float().square().sum() for value in features()).backward()
    checkpointed = [value.grad.clone() for value in model.parameters() if value.requires_grad]
    _checkpointing(module, False)
    model.zero_grad()
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16):
        sum(value.float().square().sum() for value in features()).backward()
    plain = [value.grad for value in model.parameters() if value.requires_grad]
    assert all(torch.equal(*pair) for pair in zip(checkpointed, plain, strict=True))
    assert all(grad.abs().sum() > 0 for grad in plain)


def _checkpointing(module, on):
    for layer in (*module.text_model.encoder.layers, *module.vision_model.encoder.layers):
        layer.gradient_checkpointing = on
        layer._gradient_checkpointing_func = partial(torch.utils.checkpoint.checkpoint, use_reentrant=False)


@pytest.mark.slow
def test_a_full_size_tower_merges_exactly_and_states_its_status():
    model = open_clip_model(open_clip.get_model_config("ViT-B-32")).eval().requires_grad_(False)
    images, tokens = torch.randn(1, 3, 224, 224), torch.randint(1, 49000, (1, 77))
    adapted = adapt(model)
    assert adapted.get_model_status().num_adapter_layers == 48
    with torch.no_grad():
        expected = model.encode_image(images), model.encode_text(tokens)
        adapted.merge_and_unload()
        assert close((model.encode_image(images), model.encode_text(tokens)), expected)


def test_a_weighted_sum_of_adapters_is_refused_with_what_there_is_instead(encoder):
    model = adapt(encoder[0])
    with pytest.raises(ConfigError, match=r"set_adapter.*set_alpha"):
        model.add_weighted_adapter(["default"], [0.5], "sum")
