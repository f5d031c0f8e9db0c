"""The width of the image tower, which default learning rates depend on."""

from pathlib import Path

import pytest
import torch
from models.small import clip_folder

from radapter.models import load
from radapter.models.openclip import build


@pytest.mark.parametrize("folder", ["clip", "siglip", "siglip2"])
def test_a_transformer_of_transformers_has_its_hidden_size(folder, request):
    assert load(request.getfixturevalue(folder)).image_width == 32


def test_it_is_the_image_tower_s_whatever_the_text_tower_and_the_joint_space(tmp_path: Path):
    encoder = load(
        clip_folder(tmp_path, image={"hidden_size": 48}, text={"hidden_size": 96, "num_attention_heads": 3})
    )
    assert (encoder.image_width, encoder.embed_dim) == (48, 20)


def test_a_vit_of_open_clip_has_its_width(tiny_architecture):
    assert load(f"open_clip:{tiny_architecture}").image_width == 32


def test_a_vit_of_timm_has_its_width():
    pytest.importorskip("timm")
    assert load("timm:test_vit").image_width == 64


@pytest.mark.parametrize(
    ("architecture", "width"),
    [("ViT-B-32", 768), ("ViT-L-14", 1024), ("RN50", 2048), ("RN50x4", 2560), ("ViT-B-16-SigLIP", 768),
     ("MobileCLIP2-B", 768), ("EVA02-B-16", 768)],
)  # fmt: skip
def test_full_size_towers_of_open_clip_have_the_width_before_their_projection(architecture, width):
    open_clip = pytest.importorskip("open_clip")
    from radapter.models.openclip import _OpenClipTowers

    config = open_clip.get_model_config(architecture)
    with torch.device("meta"):
        module = build(config)
    preprocess = {"size": 224, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    assert _OpenClipTowers(config, preprocess, tokenizer=None).image_width(module) == width


def test_an_adapted_model_has_the_same_width(tiny_architecture):
    import peft

    from radapter import RAdapterConfig

    encoder = load(f"open_clip:{tiny_architecture}")
    peft.get_peft_model(encoder.module, RAdapterConfig())
    assert encoder.image_width == 32
