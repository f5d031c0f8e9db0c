"""Checkpoints as other programs write them: prefixes, wrapping keys, OpenAI's archives."""

import copy
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from radapter.errors import ModelError, UnsafeFileError
from radapter.models import inspect, load

PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "model.", "clip.", "model.module.")


@pytest.fixture
def quick_architecture(tiny_architecture: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The small CLIP under a second name, with QuickGELU, as open_clip has its own."""
    import open_clip

    config = copy.deepcopy(open_clip.factory._MODEL_CONFIGS[tiny_architecture])
    name = f"{tiny_architecture}-quickgelu"
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, {**config, "quick_gelu": True})
    return name


def openai_module(architecture: str) -> nn.Module:
    """A module with the buffers that OpenAI's archives hold."""
    module = load(f"open_clip:{architecture}", seed=5).module
    module.__dict__["attn_mask"] = module._buffers.pop("attn_mask")  # theirs is no buffer
    for name, value in (("input_resolution", 32), ("context_length", 12), ("vocab_size", 49408)):
        module.__dict__.pop(name, None)
        module.register_buffer(name, torch.tensor(value))
    return module


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "state_dict_ema"])
def test_prefixes_and_wrapping_keys_are_taken_off_open_clip_weights(
    tiny_architecture: str, tmp_path: Path, prefix: str, key: str
) -> None:
    source = load(f"open_clip:{tiny_architecture}", seed=5).module.state_dict()
    named = {prefix + name: tensor for name, tensor in source.items()}
    torch.save({"epoch": 1, key: named}, tmp_path / "w.pt")
    loaded = load(f"open_clip:{tiny_architecture}/{tmp_path}/w.pt").module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in source.items())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_are_taken_off_in_transformers_folders(clip: Path, tmp_path: Path, prefix: str) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "copy"))
    weights = load_file(folder / "model.safetensors")
    save_file({prefix + n: t for n, t in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    loaded, expected = load(folder).module.state_dict(), load(clip).module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


def test_prefixes_are_taken_off_timm_weights(tmp_path: Path) -> None:
    source = load("timm:test_vit", seed=5).module.state_dict()
    save_file({f"_orig_mod.{name}": tensor for name, tensor in source.items()}, tmp_path / "w.safetensors")
    loaded = load(f"timm:test_vit/{tmp_path}/w.safetensors").module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in source.items())


def test_an_unusual_prefix_is_named_without_a_table(
    clip: Path, tiny_architecture: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "copy"))
    file = folder / "model.safetensors"
    save_file({f"net.dual.{n}": t for n, t in load_file(file).items()}, file, {"format": "pt"})
    for name in (folder, f"open_clip:{tiny_architecture}/{file}"):
        with pytest.raises(ModelError, match=r"All its names start with 'net\.dual\.'") as refused:
            load(name)
        assert "Copy the folder again" not in str(refused.value)
    assert capfd.readouterr().err == ""


def test_tensors_that_a_transformers_model_lacks_are_logged(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "copy"))
    weights = load_file(folder / "model.safetensors") | {"head.weight": torch.zeros(2)}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    load(folder)
    assert "has 1 tensors that are no part of the model and were ignored: head.weight" in caplog.text


def test_an_openai_archive_loads_by_its_advice_and_runs_with_quick_gelu(
    tiny_architecture: str, quick_architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module, example = openai_module(tiny_architecture), (torch.zeros(1, 3, 32, 32), torch.ones(1, 12).long())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; OpenAI's archives stay around
        torch.jit.trace(module, example, check_trace=False).save("ViT-tiny.pt")
        with pytest.raises(UnsafeFileError) as refused:
            load(f"open_clip:{tiny_architecture}/ViT-tiny.pt")
        exec(str(refused.value).partition("on a machine you can lose: ")[2])
    encoder = load(f"open_clip:{tiny_architecture}/weights.safetensors")
    expected = load(f"open_clip:{quick_architecture}", seed=5)
    assert [tower.activation for tower in inspect(encoder).towers] == ["QuickGELU", "QuickGELU"]
    pixels = torch.ones(1, 3, 32, 32)
    assert torch.equal(encoder.encode_image(pixels), expected.encode_image(pixels))


def test_weights_by_path_say_that_they_run_with_gelu_where_both_forms_exist(
    tiny_architecture: str, quick_architecture: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "w.safetensors"
    save_file(load(f"open_clip:{tiny_architecture}").module.state_dict(), file)
    plain = load(f"open_clip:{tiny_architecture}/{file}")
    assert f"give open_clip:{quick_architecture}/{file}" in caplog.text
    caplog.clear()
    quick = load(f"open_clip:{quick_architecture}/{file}")
    assert caplog.text == ""
    activations = [inspect(encoder).towers[0].activation for encoder in (plain, quick)]
    assert activations == ["GELU", "QuickGELU"]
