"""Any method of PEFT by name: what it is, what it merges to, and what is refused."""

import copy
from dataclasses import replace

import open_clip
import pytest
import torch
from models.small import OPEN_CLIP, clip_folder
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer
from pydantic import ValidationError
from reference import peft_methods as reference
from torch import nn

import radapter
from radapter.config import load_config
from radapter.config.building import recipe_of
from radapter.errors import ConfigError, ModelError
from radapter.losses import bound_loss
from radapter.methods import METHODS, count_trained
from radapter.methods.any_peft import PeftSettings, config_types
from radapter.operations.checks import check_model
from radapter.runs.adapters import read_adapter_config
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, evaluate_run, run_method
from radapter.runs.evaluator import Evaluator
from radapter.storage import read_json, write_json
from radapter.zeroshot import LinearHead

NAMED = [
    {"type": "DORA", "r": 4},
    {"type": "OFT", "oft_block_size": 8},
    {"type": "BOFT", "boft_block_size": 4},
    {"type": "HRA", "r": 4},
    {"type": "VERA", "r": 8},
    {"type": "IA3"},
    {"type": "LN_TUNING"},
    {"type": "LORA", "use_rslora": True},
    {"type": "LOKR"},
]
SMALLEST = (
    "task: classification\nmodel: world:tiny\nselect: {alpha: 1}\n"
    "data: {train: {world: train}, id_test: {world: id_test}}\n"
)
METHOD = METHODS["peft"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def tiny(folder):
    """A tiny CLIP of transformers, in float64."""
    return radapter.load(str(folder)).double()


@pytest.fixture
def of_open_clip(monkeypatch):
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT", copy.deepcopy(OPEN_CLIP))
    return radapter.load("open_clip:tiny-ViT")


def built(encoder, **options):
    loss = bound_loss("mpm-nce", margin=None, label_smoothing=None, logit_bias=None)
    settings = METHOD.settings(PeftSettings(**options))
    head = LinearHead(torch.ones(2, encoder.embed_dim))
    found = METHOD.build(encoder, head=head, loss=loss, settings=settings)
    torch.manual_seed(0)
    for parameter in found.adapters.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    encoder.eval()
    return found


@pytest.mark.parametrize("options", NAMED, ids=lambda options: options["type"])
def test_a_method_starts_as_the_base_trains_less_than_it_and_merges_exactly(tiny, options):
    pixels = torch.randn(2, 3, tiny.image_size, tiny.image_size).double()
    with torch.no_grad():
        base = tiny.encode_image(pixels)
        found = built(tiny, **options)
        adapted = tiny.encode_image(pixels)
        found.adapters.merge_adapter()
        merged = tiny.encode_image(pixels)
    assert 0 < count_trained(found.learner) < sum(p.numel() for p in tiny.parameters())
    assert not torch.allclose(base, adapted, rtol=1e-3)
    assert torch.allclose(adapted, merged, rtol=1e-5, atol=1e-5)  # HRA and others compute in float32


def test_dora_is_its_papers_weight(tiny):
    found = built(tiny, type="DORA", r=4, lora_alpha=8)
    layer = next(part for part in found.adapters.modules() if isinstance(part, LoraLayer))
    magnitude = layer.lora_magnitude_vector["default"].weight
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = reference.dora(layer.base_layer.weight, down, up, 2.0, magnitude)
    layer.merge()
    assert torch.allclose(layer.base_layer.weight, expected, rtol=1e-6, atol=1e-6)


def test_ia3_scales_the_projections_outputs_and_the_inputs_of_the_ffns_second_layer(tiny):
    found = built(tiny, type="IA3")
    layers = {name: part for name, part in found.adapters.named_modules() if isinstance(part, IA3Layer)}
    assert {name.rsplit(".", 1)[-1] for name in layers} == {"q_proj", "k_proj", "v_proj", "fc2"}
    for name, layer in layers.items():
        of_inputs = name.endswith("fc2")
        expected = reference.ia3(layer.base_layer.weight, layer.ia3_l["default"], of_inputs=of_inputs)
        layer.merge()
        assert torch.allclose(layer.base_layer.weight, expected)


def test_ln_tuning_trains_the_norms_of_both_libraries_and_nothing_else(tiny, of_open_clip):
    for encoder in (tiny, of_open_clip):
        norms = [part for part in encoder.module.modules() if isinstance(part, nn.LayerNorm)]
        sizes = sum(parameter.numel() for part in norms for parameter in part.parameters())
        assert count_trained(built(encoder, type="LN_TUNING").learner) == sizes


def test_a_run_is_evaluated_again_from_its_directory(folder, suite, recipe, tmp_path):
    short = replace(recipe, epochs=1, settings=PeftSettings(type="DORA", r=4))
    found = run_method(
        RunDirectory(tmp_path, "a: 1\n"),
        METHOD,
        radapter.load(str(folder)),
        suite,
        short,
        rule=AlphaRule(0.5),
    )
    again = evaluate_run(
        tmp_path, radapter.load(str(folder)), Evaluator(suite, radapter.load(str(folder)), short)
    )
    assert again.row("peft").id == found.row("peft").id


@pytest.mark.parametrize("kind", ["DORA", "OFT", "IA3"])
def test_a_tower_without_a_layer_of_the_type_is_refused_by_name(of_open_clip, kind):
    with pytest.raises(
        ConfigError, match=rf"{kind} has no layer for MultiheadAttention, which the image tower"
    ):
        built(of_open_clip, type=kind)
    more = {"IA3": {"feedforward_modules": ["c_fc"]}, "OFT": {"oft_block_size": 8}}.get(kind, {})
    assert count_trained(built(of_open_clip, type=kind, target_modules=["c_fc"], **more).learner) > 0


def test_adapters_that_do_not_merge_are_refused_with_the_towers_name(tiny):
    with pytest.raises(ConfigError, match=r"LILY in the image and text tower of '.*' cannot be merged"):
        built(tiny, type="LILY")
    with pytest.raises(ConfigError, match=r"ADALORA in the image and text tower of '.*' is refused by PEFT"):
        built(tiny, type="ADALORA")


def test_prompts_and_radapters_own_methods_are_no_types():
    assert not config_types().keys() & {"PROMPT_TUNING", "PREFIX_TUNING", "RADAPTER", "ADAPTFORMER", "XLORA"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "OTF"}, "method.type must be one of DORA, .* Got 'OTF'. Did you mean .*'OFT'"),
        (
            {"type": "OFT", "block_size": 4},
            "method.block_size is no option of OFT .* Did you mean 'oft_block_size'",
        ),
        ({"type": "OFT", "r": "4"}, "method.r must not be text. Got '4'"),
        ({"type": "OFT", "layers_pattern": "(a+)+"}, "method.layers_pattern is no option of OFT"),
        ({"type": "OFT", "target_modules": "(a+)+"}, "method.target_modules must be a list of names"),
        ({"type": "LORA", "megatron_core": "os"}, "method.megatron_core is no option of LORA"),
        ({"type": "LORA", "init_lora_weights": "pissa"}, "method.init_lora_weights is no option of LORA"),
        ({"type": "LORA", "r": 10**9}, "method.r must be at most 65,536"),
    ],
)
def test_an_option_that_peft_lacks_or_that_is_unsafe_is_refused(options, words, tmp_path):
    with pytest.raises(ValidationError, match=words):
        PeftSettings(**options)


def test_options_are_keys_of_run_yaml(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(SMALLEST + "method: {name: peft, type: OFT, oft_block_size: 16}\n", encoding="utf-8")
    config = load_config(path, ["method.coft=true"])
    settings = config.methods.table["peft"].settings(config.methods.settings(config.method))
    assert (settings.type, settings.options) == ("OFT", {"oft_block_size": 16, "coft": True})
    path.write_text(SMALLEST + "method: {name: peft, type: OFT, blocks: 16}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run.yaml:5: method.blocks is no option of OFT"):
        load_config(path)


def test_a_model_that_the_type_does_not_fit_is_refused_before_anything_is_read(of_open_clip, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(SMALLEST + "method: {name: peft, type: OFT}\n", encoding="utf-8")
    config = load_config(path)
    with pytest.raises(ConfigError, match="OFT has no layer for MultiheadAttention"):
        check_model(of_open_clip, config, recipe_of(config), METHOD)


def test_only_what_radapter_writes_is_read(tiny, tmp_path):
    adapters = built(tiny, type="OFT", oft_block_size=8).adapters
    adapters.save_pretrained(tmp_path, save_embedding_layers=False)
    assert read_adapter_config(tmp_path).oft_block_size == 8
    file = tmp_path / "adapter_config.json"
    written = read_json(file)
    for key, value in {
        "oft_block_size": "8",
        "layers_pattern": "(a+)+",
        "target_modules": "(a+)+",
        "modules_to_save": ["(a+)+"],
        "bias": "everything",
    }.items():
        write_json(file, written | {key: value})
        with pytest.raises(ModelError, match=rf"\b{key}\b"):
            read_adapter_config(tmp_path)
