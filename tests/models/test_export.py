import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from models.small import clip_folder
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoTokenizer

from radapter import RAdapterConfig, set_alpha
from radapter.errors import ConfigError, ExportError, ModelError, RunError
from radapter.models import ClassHead, DualEncoder, export, fingerprint, load
from radapter.storage import read_json, sha256

CAPTIONS = ["a red star", "A large Blue castle!"]


def adapted(name: str | Path, config: peft.PeftConfig | None = None, **options: Any) -> DualEncoder:
    encoder = load(name, **options)
    peft.get_peft_model(encoder.module, config or RAdapterConfig(init_weights=False))
    return encoder.eval()


def open_clip_tokens(folder: Path, texts: list[str]) -> Tensor:
    import open_clip

    tokens: Tensor = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
    return tokens


@torch.no_grad()
def features(encoder: DualEncoder) -> tuple[Tensor, Tensor]:
    pixels = torch.linspace(-2, 2, 3 * encoder.image_size**2).view(1, 3, encoder.image_size, -1)
    ends = torch.tensor([[1, 5, 7, encoder.towers.eos_id] + [0] * (encoder.context_length - 4)])
    return encoder.encode_image(pixels), encoder.encode_text(ends)


def assert_same_features(first: DualEncoder, second: DualEncoder) -> None:
    for ours, theirs in zip(features(first), features(second), strict=True):
        assert float((ours - theirs).norm() / ours.norm()) <= 1e-5


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2", "open_clip"])
def test_the_own_library_loads_the_merged_model(
    kind: str, request: pytest.FixtureRequest, tiny_architecture: str, tmp_path: Path
) -> None:
    is_folder = kind != "open_clip"
    encoder = adapted(request.getfixturevalue(kind) if is_folder else f"open_clip:{tiny_architecture}")
    assert_same_features(encoder, load(export(encoder, to=tmp_path / "merged")))
    difference = read_json(tmp_path / "merged" / "certificate.json")["max_relative_difference"]
    assert difference <= 1e-5


def test_a_timm_vit_is_written_as_timm_loads_it(tmp_path: Path) -> None:
    encoder = adapted("timm:vit_tiny_patch16_224", RAdapterConfig(r=2, init_weights=False))
    reloaded = load(export(encoder, to=tmp_path / "vit"))
    pixels = encoder.preprocess(Image.new("RGB", (200, 100), "red"))[None]
    torch.testing.assert_close(reloaded.encode_image(pixels), encoder.encode_image(pixels))


@pytest.mark.parametrize(
    "text",
    [{"eos_token_id": 3}, {"eos_token_id": 2}, {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-3}],
    ids=["eos id", "legacy eos id", "quick_gelu and eps"],
)
def test_a_clip_crosses_to_open_clip_and_back(text: dict[str, Any], tmp_path: Path) -> None:
    image = {key: value for key, value in text.items() if key == "hidden_act"}
    encoder = adapted(clip_folder(tmp_path / "start", text=text, image=image))
    there = load(export(encoder, to=tmp_path / "there", format="open_clip"))
    back = load(export(there, to=tmp_path / "back", format="transformers"))
    assert (there.library, back.library) == ("open_clip", "transformers")
    assert_same_features(encoder, there)
    assert_same_features(encoder, back)
    for crossed in (there, back):
        assert torch.equal(crossed.tokenize(CAPTIONS), encoder.tokenize(CAPTIONS))
        sample_image = Image.effect_noise((50, 40), 90).convert("RGB")
        assert torch.equal(crossed.preprocess(sample_image), encoder.preprocess(sample_image))


def test_open_clips_tokenizer_crosses_with_the_same_ids_up_to_the_end(
    tiny_architecture: str, tmp_path: Path
) -> None:
    encoder = load(f"open_clip:{tiny_architecture}")
    crossed = load(export(encoder, to=tmp_path / "clip", format="transformers"))
    texts = ["A photo of a dog.", "it's 2  cats & a café", "x" * 80]
    with torch.no_grad():
        torch.testing.assert_close(
            crossed.encode_text(crossed.tokenize(texts)), encoder.encode_text(encoder.tokenize(texts))
        )


@pytest.mark.parametrize(("library", "code"), [
    ("transformers", "from transformers import CLIPModel; m = CLIPModel.from_pretrained(folder).eval();"
     "f = m.get_image_features(pixel_values=x).pooler_output; g = m.get_text_features(input_ids=t).pooler_output"),
    ("open_clip", "import open_clip; m = open_clip.create_model('local-dir:' + folder).eval();"
     "t = open_clip.get_tokenizer('local-dir:' + folder)(captions); f = m.encode_image(x); g = m.encode_text(t)"),
])  # fmt: skip
def test_a_script_without_radapter_gets_the_same_features(library: str, code: str, tmp_path: Path) -> None:
    encoder = adapted("world:tiny")
    folder = export(encoder, to=tmp_path / "merged", format=library)
    pixels, tokens = torch.randn(2, 3, 48, 48), encoder.tokenize(CAPTIONS)
    save_file({"x": pixels, "t": tokens}, tmp_path / "in")
    script = (
        "import sys, torch; from safetensors.torch import load_file, save_file\n"
        f"folder, captions = {str(folder)!r}, {CAPTIONS!r}; d = load_file({str(tmp_path / 'in')!r})\n"
        f"x, t = d['x'], d['t']; torch.set_grad_enabled(False)\n{code}\n"
        f"save_file({{'f': f, 'g': g}}, {str(tmp_path / 'out')!r}); assert 'radapter' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    out = load_file(tmp_path / "out")
    for ours, theirs in ((encoder.encode_image(pixels), out["f"]), (encoder.encode_text(tokens), out["g"])):
        assert float(((ours - theirs).norm(dim=-1) / ours.norm(dim=-1)).max().detach()) <= 1e-5


def test_captions_that_open_clip_tokenises_differently_are_listed(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = load(clip)
    folder = export(encoder, to=tmp_path / "there", format="open_clip")
    about = read_json(folder / "certificate.json")["tokenization"]
    theirs = open_clip_tokens(folder, ["rock &amp; roll", "a red star"])
    ours = encoder.tokenize(["rock &amp; roll", "a red star"])
    assert [bool(row.all()) for row in theirs == ours] == [False, True]
    assert "rock &amp; roll" in about["differ"]
    assert f"{len(about['differ'])} of {about['captions']} test captions have other tokens" in caplog.text


def test_the_own_librarys_folder_tokenises_alike(clip: Path, tiny_architecture: str, tmp_path: Path) -> None:
    for kind, name in (("t", clip), ("o", f"open_clip:{tiny_architecture}")):
        folder = export(load(name), to=tmp_path / kind)
        assert read_json(folder / "certificate.json")["tokenization"]["differ"] == []


def test_quotation_marks_and_entities_cross_from_open_clip(tiny_architecture: str, tmp_path: Path) -> None:
    encoder = load(f"open_clip:{tiny_architecture}")
    folder = export(encoder, to=tmp_path / "clip", format="transformers")
    texts = [
        "it\N{RIGHT SINGLE QUOTATION MARK}s a “dog”",
        "rock &amp; roll",
        "twice &amp;amp; &#39;so&#39;",
        "ﬁre",
    ]
    plain = AutoTokenizer.from_pretrained(folder)
    for ours, theirs in zip(encoder.tokenize(texts).tolist(), plain(texts)["input_ids"], strict=True):
        assert ours[: len(theirs)] == theirs
    assert plain.decode(plain("a dog")["input_ids"], skip_special_tokens=True).strip() == "a dog"
    assert len(read_json(folder / "certificate.json")["tokenization"]["differ"]) <= 3


def test_the_call_that_merge_prints_gives_model_and_preprocessing(clip: Path, tmp_path: Path) -> None:
    import open_clip

    from radapter.commands.runs import _LOADING

    encoder = load(clip)
    folder = export(encoder, to=tmp_path / "there", format="open_clip")
    given = {"open_clip": open_clip}
    exec(_LOADING["open_clip"].format(to=folder), given)
    image = Image.effect_noise((50, 40), 90).convert("RGB")
    assert torch.equal(given["preprocess"](image), encoder.preprocess(image))
    assert isinstance(given["model"], open_clip.CLIP)


def test_exported_files_have_the_mode_of_any_new_file(clip: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = export(load(clip), to=tmp_path / "merged", head=ClassHead(torch.zeros(2, 20), ["a", "b"]))
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o644}


def test_the_model_in_memory_stays_adapted(clip: Path, tmp_path: Path) -> None:
    encoder = adapted(clip).train()
    before, hashed = {n: t.clone() for n, t in encoder.state_dict().items()}, fingerprint(encoder)
    export(encoder, to=tmp_path / "merged", alpha=0.5)
    assert encoder.training
    assert fingerprint(encoder) == hashed
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_alpha_is_the_adapters_own_or_the_given(clip: Path, tmp_path: Path) -> None:
    encoder = adapted(clip)
    given = load(export(encoder, to=tmp_path / "given", alpha=0.3))
    zero = load(export(encoder, to=tmp_path / "zero", alpha=0.0))
    assert fingerprint(zero) == fingerprint(load(clip))
    set_alpha(encoder, 0.3)
    assert_same_features(encoder, given)
    own = load(export(encoder, to=tmp_path / "own"))
    assert fingerprint(own) == fingerprint(given)


def test_an_alpha_that_nothing_takes_is_an_error(clip: Path, tmp_path: Path) -> None:
    lora = adapted(clip, peft.LoraConfig(target_modules=["fc2"]))
    for encoder in (load(clip), lora):
        with pytest.raises(ConfigError):
            export(encoder, to=tmp_path / "merged", alpha=0.5)
    with pytest.raises(ConfigError, match="alpha"):
        export(adapted(clip), to=tmp_path / "merged", alpha=1.5)
    assert list(tmp_path.iterdir()) == []


def test_other_tuners_and_modules_saved_whole_are_merged_too(tiny_architecture: str, tmp_path: Path) -> None:
    config = peft.LoraConfig(
        target_modules=["attn", "c_fc", "c_proj"], modules_to_save=["ln_final"], init_lora_weights=False
    )
    encoder = adapted(f"open_clip:{tiny_architecture}", config)
    nn.init.normal_(encoder.module.ln_final.modules_to_save["default"].weight)
    assert_same_features(encoder, load(export(encoder, to=tmp_path / "merged")))


def test_a_merged_or_disabled_adapter_exports_what_the_model_computes(clip: Path, tmp_path: Path) -> None:
    encoder = load(clip).eval()
    model = peft.get_peft_model(encoder.module, RAdapterConfig(init_weights=False))
    with model.disable_adapter():
        export(encoder, to=tmp_path / "base")
    assert fingerprint(load(tmp_path / "base")) == fingerprint(load(clip))
    model.merge_adapter()
    assert_same_features(encoder, load(export(encoder, to=tmp_path / "merged")))


def test_the_certificate_holds_what_was_measured(clip: Path, tmp_path: Path) -> None:
    folder = export(adapted(clip), to=tmp_path / "merged", alpha=0.5)
    about = json.loads((folder / "certificate.json").read_text())
    assert about["format"] == "transformers"
    assert (
        about["max_relative_difference"] == max(about["differences"].values()) <= about["tolerance"] == 1e-5
    )
    assert {"torch", "transformers", "peft", "radapter"} <= set(about["versions"])
    others = {file.name for file in folder.iterdir()} - {"certificate.json", "manifest.json"}
    assert about["sha256"] == {name: sha256(folder / name) for name in others}


def test_a_difference_above_tolerance_is_an_error_and_leaves_nothing(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules["radapter.models.certificate"].TOLERANCES, torch.float32, 1e-12)
    with pytest.raises(ExportError, match="They differ by"):
        export(adapted(clip), to=tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="must not exist"):
        export(load(clip), to=tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_written_as_it_is(clip: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    for format in ("transformers", "open_clip"):
        folder = export(adapted(clip, dtype=dtype), to=tmp_path / format, format=format)
        file = next(folder.glob("*.safetensors"))
        assert {tensor.dtype for tensor in load_file(file).values()} == {dtype}
        assert read_json(folder / "certificate.json")["tolerance"] == 1e-2


def test_a_model_without_its_tokenizer_exports_and_says_so(siglip: Path, tmp_path: Path) -> None:
    folder = export(load(siglip), to=tmp_path / "merged")
    assert read_json(folder / "certificate.json")["tokenizer_included"] is False


@pytest.mark.parametrize(
    ("text", "image", "reason"),
    [
        (
            {"hidden_act": "quick_gelu"},
            {},
            "one activation, gelu or quick_gelu. This model has gelu and quick_gelu",
        ),
        ({"hidden_act": "relu"}, {"hidden_act": "relu"}, "This model has relu"),
    ],
)
def test_a_clip_that_open_clip_lacks_says_why(
    text: dict[str, Any], image: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    encoder = load(clip_folder(tmp_path / "start", text=text, image=image))
    with pytest.raises(ModelError, match=reason):
        export(encoder, to=tmp_path / "there", format="open_clip")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("part", "key", "value", "reason"),
    [
        ("text_cfg", "no_causal_mask", True, "no counterpart of no_causal_mask in open_clip's text_cfg"),
        ("vision_cfg", "ls_init_value", 0.1, "no counterpart of ls_init_value in open_clip's vision_cfg"),
        ("text_cfg", "pool_type", "eos", "pool_type 'eos' and eos_id 2"),
        ("", "custom_text", True, "This model is a CustomTextCLIP"),
        ("", "init_logit_bias", -10, "with a logit bias"),
    ],
)
def test_an_open_clip_model_that_transformers_lacks_says_why(
    part: str, key: str, value: object, reason: str, tiny_architecture: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import open_clip

    config = open_clip.factory._MODEL_CONFIGS[tiny_architecture]
    monkeypatch.setitem(config[part] if part else config, key, value)
    with pytest.raises(ModelError, match=reason):
        export(load(f"open_clip:{tiny_architecture}"), to=tmp_path / "there", format="transformers")
    assert list(tmp_path.iterdir()) == []


def test_siglip_does_not_cross(siglip: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"only CLIP crosses to open_clip, not 'siglip'"):
        export(load(siglip), to=tmp_path / "there", format="open_clip")


def test_an_unknown_format_proposes_the_nearest(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'open_clip'"):
        export(load(clip), to=tmp_path / "there", format="openclip")
