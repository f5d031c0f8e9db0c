"""The configuration of adapters in a run's directory: names are names, and nothing else can be switched on."""

import shutil
from pathlib import Path

import peft
import pytest

import radapter
from radapter.adapter import RAdapterConfig
from radapter.errors import ModelError
from radapter.methods.lora import lora_targets
from radapter.runs.adapters import read_adapter_config
from radapter.storage import read_json, write_json

SLOW = "(a+)+$|((.*)*)*x"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory):
    """Directories with adapters of both kinds, by peft_type."""
    folders = {}
    for kind in ("RADAPTER", "LORA"):
        module = radapter.load("world:tiny").module
        lora = peft.LoraConfig(r=4, lora_alpha=4, use_rslora=True, target_modules=lora_targets(module))
        folders[kind] = tmp_path_factory.mktemp(kind)
        config = RAdapterConfig(r=4) if kind == "RADAPTER" else lora
        peft.get_peft_model(module, config).save_pretrained(folders[kind], save_embedding_layers=False)
    return folders


@pytest.mark.parametrize("kind", ["RADAPTER", "LORA"])
def test_adapters_that_radapter_writes_are_read(saved, kind):
    assert read_adapter_config(saved[kind]).r == 4


@pytest.mark.parametrize("kind", ["RADAPTER", "LORA"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target_modules", SLOW),
        ("target_modules", [SLOW]),
        ("exclude_modules", SLOW),
        ("modules_to_save", [SLOW]),
        ("modules_to_save", SLOW),
        ("r", 10**6),
        ("r", -1),
        ("r", "4"),
        ("peft_type", "PROMPT_TUNING"),
        ("peft_type", 4),
        ("auto_mapping", {"base_model_class": "system", "parent_library": "os"}),
        ("auto_mapping", {"base_model_class": "CLIPModel", "parent_library": "mine"}),
        ("auto_mapping", {"base_model_class": "CLIPModel"}),
        ("auto_mapping", "os"),
    ],
)
def test_a_value_that_radapter_does_not_write_is_named(saved, kind, key, value, tmp_path: Path):
    folder = Path(shutil.copytree(saved[kind], tmp_path / "adapter"))
    file = folder / "adapter_config.json"
    write_json(file, read_json(file) | {key: value})
    with pytest.raises(ModelError, match=rf"\b{key}\b"):
        read_adapter_config(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layers_pattern", SLOW),
        ("rank_pattern", {SLOW: 2}),
        ("alpha_pattern", {SLOW: 2}),
        ("target_parameters", [SLOW]),
        ("layer_replication", [[0, 9]]),
        ("megatron_config", {"a": 1}),
        ("megatron_core", "os"),
        ("init_lora_weights", "pissa_niter_1000000"),
    ],
)
def test_an_option_of_lora_that_radapter_does_not_set_is_named(saved, key, value, tmp_path: Path):
    folder = Path(shutil.copytree(saved["LORA"], tmp_path / "adapter"))
    file = folder / "adapter_config.json"
    write_json(file, read_json(file) | {key: value})
    with pytest.raises(ModelError, match=rf"\b{key}\b.*must be left at PEFT's default"):
        read_adapter_config(folder)
