import json
import shutil
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from models.small import cached_repository
from safetensors.torch import load_file, save_file
from torch import Tensor

from radapter import RAdapterConfig
from radapter.errors import DamagedError, MissingExtraError, ModelError, UnsafeFileError
from radapter.models import export, fingerprint, load
from radapter.world import tokens


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "copy"))


def test_the_shipped_model_loads_by_name() -> None:
    encoder = load("world:tiny")
    assert (encoder.name, encoder.library, encoder.image_size) == ("world:tiny", "transformers", 48)


def test_weights_are_float32_though_saved_in_float16(clip: Path) -> None:
    assert json.loads((clip / "config.json").read_text())["dtype"] == "float16"
    assert {p.dtype for p in load(clip).parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_any_dtype_can_be_asked_for_and_takes_float32_pixels(
    clip: Path, tiny_architecture: str, dtype: torch.dtype
) -> None:
    for name in (clip, f"open_clip:{tiny_architecture}"):
        encoder = load(name, dtype=dtype)
        assert {p.dtype for p in encoder.parameters()} == {dtype}
        assert encoder.encode_image(torch.zeros(1, 3, 32, 32)).dtype == dtype


def test_a_loaded_model_is_in_evaluation_mode(clip: Path, tiny_architecture: str) -> None:
    for name in (clip, f"open_clip:{tiny_architecture}", "timm:vit_tiny_patch16_224"):
        assert not any(module.training for module in load(name).modules())


@pytest.mark.usefixtures("no_network")
def test_local_names_try_no_connection(
    clip: Path, siglip2: Path, tiny_architecture: str, hub_cache: Path
) -> None:
    load(clip).tokenize(["a red star"])
    load(siglip2)
    load("timm:vit_tiny_patch16_224")
    load(f"open_clip:{tiny_architecture}").tokenize(["a red star"])
    for absent in (
        "hf:nobody/nothing",
        "open_clip:ViT-B-32/openai",
        "timm:vit_tiny_patch16_224.augreg_in21k",
    ):
        with pytest.raises(ModelError, match=r"must be in the local hub cache.*allow_download=True"):
            load(absent)
    with pytest.raises(ModelError, match="must be in the local hub cache"):
        load("open_clip:roberta-ViT-B-32")


@pytest.mark.usefixtures("no_network")
def test_a_model_in_the_hub_cache_loads_without_a_download(clip: Path, hub_cache: Path) -> None:
    shutil.copytree(clip, cached_repository(hub_cache, "owner/clip"), dirs_exist_ok=True)
    assert load("hf:owner/clip").tokenize(["a red star"]).shape == (1, tokens.CONTEXT)


@pytest.mark.usefixtures("no_network")
def test_no_name_of_open_clip_asks_the_network(hub_cache: Path) -> None:
    for name in (
        "open_clip:hf-hub:owner/name",
        "open_clip:hf-hub:owner",
        "open_clip:hf-hub:",
        "hf:owner/name",
    ):
        with pytest.raises(ModelError):
            load(name)


@pytest.mark.usefixtures("no_network")
def test_an_open_clip_repository_in_the_cache_loads_as_its_folder_does(hub_cache: Path) -> None:
    folder = export(load("world:tiny"), to=hub_cache / "exported", format="open_clip")
    shutil.copytree(folder, cached_repository(hub_cache, "owner/clip"), dirs_exist_ok=True)
    for name in ("hf:owner/clip", "open_clip:hf-hub:owner/clip"):
        encoder = load(name)
        assert (encoder.name, encoder.library) == (name, "open_clip")
        assert fingerprint(encoder) == fingerprint(load(folder))
        assert torch.equal(encoder.tokenize(["a red star"]), load(folder).tokenize(["a red star"]))
    assert load(f"open_clip:local-dir:{folder}").library == "open_clip"


def test_a_repository_of_transformers_is_no_hf_hub_model_of_open_clip(clip: Path, hub_cache: Path) -> None:
    shutil.copytree(clip, cached_repository(hub_cache, "owner/clip"), dirs_exist_ok=True)
    with pytest.raises(
        ModelError, match=r"must have open_clip_config\.json and lacks it\. Use hf:owner/clip"
    ):
        load("open_clip:hf-hub:owner/clip")


@pytest.mark.parametrize(
    ("files", "downloaded"),
    [
        ({"open_clip_config.json", "open_clip_pytorch_model.bin", "model.safetensors", "x/a.json"},
         {"open_clip_config.json", "open_clip_pytorch_model.bin"}),
        ({"open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"},
         {"open_clip_config.json", "open_clip_model.safetensors"}),
        ({"config.json", "model.safetensors", "pytorch_model.bin"}, {"config.json", "model.safetensors"}),
        ({"config.json", "pytorch_model.bin", "README.md"}, {"config.json", "pytorch_model.bin"}),
    ],
)  # fmt: skip
def test_one_form_of_a_repository_is_downloaded(
    files: set[str], downloaded: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(_: str, *, allow_patterns: list[str], ignore_patterns: list[str], **__: object) -> str:
        for name in filter_repo_objects(
            files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        ):
            (tmp_path / name).touch()
        return str(tmp_path)

    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", snapshot
    )  # stands for the hub, which is not here
    with pytest.raises((ModelError, DamagedError)):  # the files are empty
        load("hf:owner/name", allow_download=True)
    assert {file.name for file in tmp_path.iterdir()} == downloaded


def test_a_tilde_is_the_home_folder(
    clip: Path, tiny_architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(clip, tmp_path / "mine")
    save_file(load(f"open_clip:{tiny_architecture}").module.state_dict(), tmp_path / "w.safetensors")
    assert load("~/mine").name == str(tmp_path / "mine")
    assert load(f"open_clip:{tiny_architecture}/~/w.safetensors").library == "open_clip"
    assert load(clip, tokenizer="~/mine").tokenize(["a red star"]).shape == (1, tokens.CONTEXT)


def test_a_run_folder_or_an_adapter_is_no_model_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "my run").mkdir()
    (tmp_path / "my run" / "trained.json").write_text("{}")
    with pytest.raises(ModelError, match=r"It is a run folder.*radapter merge '.*/my run' --out MERGED"):
        load(tmp_path / "my run")
    peft.get_peft_model(load("world:tiny").module, RAdapterConfig()).save_pretrained(
        tmp_path / "adapter", save_embedding_layers=False
    )
    with pytest.raises(ModelError, match=r"PeftModel\.from_pretrained"):
        load(tmp_path / "adapter")


def test_a_missing_download_speaks_of_every_interface(hub_cache: Path) -> None:
    with pytest.raises(
        ModelError, match=r"allow_download: true in run\.yaml, --allow-download on the command"
    ):
        load("hf:nobody/nothing")


def test_loading_the_shipped_model_prints_nothing_without_torchvision() -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "import radapter, radapter.world; radapter.load('world:tiny').tokenize(['a red star'])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("name", "proposal"),
    [
        ("ViT-B-32", "'open_clip:ViT-B-32'"),
        ("open_clip:ViT-B-33", "'ViT-B-32'"),
        ("open_clip:ViT-B-32/opena", "'openai'"),
        ("timm:vit_tiny_patch16_225", "'vit_tiny_patch16_224'"),
        ("timm:vit_tiny_patch16_224.augreg_in21", "'vit_tiny_patch16_224.augreg_in21k'"),
        ("world:tin", "'world:tiny'"),
        ("openai/clip-vit-base-patch16", "'hf:openai/clip-vit-base-patch16'"),
    ],
)
def test_an_unknown_name_proposes_the_nearest(name: str, proposal: str) -> None:
    with pytest.raises(ModelError, match=f"Did you mean {proposal}"):
        load(name)


def test_a_model_type_that_is_no_dual_encoder_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match=r"clip, siglip, siglip2\. Got 'bert'"):
        load(tmp_path)


def test_a_folder_without_a_configuration_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json or open_clip_config\.json"):
        load(tmp_path)


def test_missing_weights_say_what_was_looked_for(clip: Path, tmp_path: Path) -> None:
    folder = copied(clip, tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"Looked for model\.safetensors, pytorch_model\.bin"):
        load(folder)


def test_truncated_weights_are_an_error(clip: Path, tmp_path: Path) -> None:
    file = copied(clip, tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="whole safetensors"):
        load(file.parent)


def test_a_missing_tensor_is_an_error_and_not_a_random_one(clip: Path, tmp_path: Path) -> None:
    file = copied(clip, tmp_path) / "model.safetensors"
    weights = load_file(file)
    del weights["visual_projection.weight"]
    save_file(weights, file)
    with pytest.raises(ModelError, match=r"1 tensors are missing: visual_projection\.weight"):
        load(file.parent)


def test_sharded_and_pickled_weights_of_tensors_load(clip: Path, tmp_path: Path) -> None:
    folder = copied(clip, tmp_path)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"pytorch_model-1.bin": names[:9], "pytorch_model-2.bin": names[9:]}
    for shard, part in shards.items():
        torch.save({name: weights[name] for name in part}, folder / shard)
    index = {name: shard for shard, part in shards.items() for name in part}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    assert torch.equal(load(folder).module.logit_scale, load(clip).module.logit_scale)


def test_a_pickle_of_more_than_tensors_is_refused(clip: Path, tiny_architecture: str, tmp_path: Path) -> None:
    folder = copied(clip, tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Path("x")}, folder / "pytorch_model.bin")
    for name in (folder, f"open_clip:{tiny_architecture}/{folder}/pytorch_model.bin"):
        with pytest.raises(UnsafeFileError):
            load(name)


def test_open_clip_weights_load_from_a_path_as_training_saves_them(
    tiny_architecture: str, tmp_path: Path
) -> None:
    source = load(f"open_clip:{tiny_architecture}", seed=5)
    file = tmp_path / "epoch_1.pt"
    state = {f"module.{name}": tensor for name, tensor in source.module.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state}, file)
    loaded = load(f"open_clip:{tiny_architecture}/{file}").module.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in source.module.state_dict().items())


def test_open_clip_weights_that_do_not_fit_are_an_error(tiny_architecture: str, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"head.weight": torch.zeros(2)}, file)
    with pytest.raises(ModelError, match=r"lacks \d+ tensors .* and has 1 others \(head.weight\)"):
        load(f"open_clip:{tiny_architecture}/{file}")


def test_random_weights_follow_the_seed_and_leave_the_generator_alone(tiny_architecture: str) -> None:
    def weights(seed: int) -> Tensor:
        return load(f"open_clip:{tiny_architecture}", seed=seed).module.visual.conv1.weight

    before = torch.random.get_rng_state()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.usefixtures("no_network")
def test_openai_weights_run_with_quick_gelu(
    tiny_architecture: str, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    tag = {"hf_hub": "owner/tiny/", "quick_gelu": True, "mean": (0.1, 0.2, 0.3)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_architecture, {"openai": tag})
    file = cached_repository(hub_cache, "owner/tiny") / "open_clip_model.safetensors"
    save_file(load(f"open_clip:{tiny_architecture}", seed=3).module.state_dict(), file)
    encoder = load(f"open_clip:{tiny_architecture}/openai")
    activations = [m for m in encoder.modules() if isinstance(m, open_clip.transformer.QuickGELU)]
    assert len(activations) == 4
    assert encoder.image_mean == (0.1, 0.2, 0.3)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    for name in ("open_clip:ViT-B-32", "timm:vit_tiny_patch16_224"):
        with pytest.raises(MissingExtraError, match=r"pip install 'radapter\[open-clip\]'"):
            load(name)


def test_a_timm_model_that_is_no_plain_vit_is_refused() -> None:
    with pytest.raises(ModelError, match="'resnet18' is a ResNet"):
        load("timm:resnet18")
