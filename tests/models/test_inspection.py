from pathlib import Path

import peft
import pytest
from models.small import clip_folder

from radapter import RAdapterConfig
from radapter.errors import ConfigError, SiteError
from radapter.models import inspect, load


@pytest.mark.parametrize("r", [None, 4])
def test_the_count_is_what_an_adapter_trains(clip: Path, r: int | None) -> None:
    encoder = load(clip)
    seen = inspect(encoder, r=r)
    model = peft.get_peft_model(encoder.module, RAdapterConfig(r=r))
    assert seen.trained_parameters == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_it_lists_towers_sites_and_what_would_be_merged(tiny_architecture: str) -> None:
    seen = inspect(load(f"open_clip:{tiny_architecture}"))
    assert [(t.tower, t.blocks, t.width, t.sites) for t in seen.towers] == [
        ("image", 2, 32, 4),
        ("text", 2, 24, 4),
    ]
    assert seen.merged_into[:2] == (
        "visual.transformer.resblocks.0.attn.out_proj.weight",
        "visual.transformer.resblocks.0.attn.out_proj.bias",
    )
    assert len(seen.merged_into) == 2 * len(seen.sites) == 16


def test_an_adapted_model_looks_the_same(tiny_architecture: str) -> None:
    encoder = load(f"open_clip:{tiny_architecture}")
    before = inspect(encoder)
    peft.get_peft_model(encoder.module, RAdapterConfig())
    assert inspect(encoder) == before


def test_one_tower_can_be_asked_for(clip: Path) -> None:
    assert [tower.tower for tower in inspect(load(clip), towers=("text",)).towers] == ["text"]


def test_a_rank_above_the_width_is_refused(clip: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[1, 24\]"):
        inspect(load(clip), r=25)


def test_a_tower_without_sites_is_named(tiny_architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS[tiny_architecture], "vision_cfg", vision)
    with pytest.raises(SiteError, match="no adapter site in the image tower"):
        inspect(load(f"open_clip:{tiny_architecture}"))


def test_the_activation_of_each_tower_is_shown(clip: Path, tiny_architecture: str, tmp_path: Path) -> None:
    quick = clip_folder(tmp_path / "quick", text={"hidden_act": "quick_gelu"})
    assert [tower.activation for tower in inspect(load(quick)).towers] == ["GELU", "QuickGELU"]
    assert [tower.activation for tower in inspect(load(f"open_clip:{tiny_architecture}")).towers] == [
        "GELU"
    ] * 2
    assert [tower.activation for tower in inspect(load("timm:test_vit")).towers] == ["GELU"]


@pytest.mark.parametrize("name", ["open_clip:RN50", "open_clip:ViTamin-S", "timm:vit_small_patch16_18x2_224"])
def test_a_model_that_r_adapter_does_not_fit_is_said_to_be_unsupported(name: str) -> None:
    encoder = load(name)
    with pytest.raises(SiteError, match=f"R-Adapter does not support '{name}' as it is"):
        inspect(encoder)
