"""Tiny real models of each library, as the folders that users have."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from radapter.world import tokens

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "vocab_size": len(tokens.VOCABULARY),
    "max_position_embeddings": tokens.CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": tokens.EOS,
}
OPEN_CLIP: dict[str, Any] = {
    "embed_dim": 20,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 24, "heads": 3, "layers": 2},
}


def clip_folder(
    folder: Path, *, image: dict[str, Any] | None = None, text: dict[str, Any] | None = None
) -> Path:
    """A tiny CLIPModel folder with random weights of unit scale, saved in float16."""
    config = CLIPConfig(
        vision_config={**VISION, "hidden_act": "gelu", **(image or {})},
        text_config={**TEXT, "hidden_act": "gelu", **(text or {})},
        projection_dim=20,
    )
    size = config.vision_config.image_size
    CLIPImageProcessor(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, image_std=[0.3, 0.3, 0.3]
    ).save_pretrained(folder)
    tokens.tokenizer().save_pretrained(folder)
    return _saved(CLIPModel(config), folder)


def siglip_folder(folder: Path) -> Path:
    """A tiny SiglipModel folder without a tokenizer."""
    text = TEXT | {"hidden_size": 32, "num_attention_heads": 2, "projection_size": 32}
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return _saved(SiglipModel(SiglipConfig(vision_config=VISION, text_config=text)), folder)


def siglip2_folder(folder: Path) -> Path:
    """A tiny Siglip2Model folder: 16 patches of 8 x 8 pixels."""
    text = TEXT | {"hidden_size": 32, "num_attention_heads": 2, "projection_size": 32}
    vision = {**VISION, "num_patches": 16}
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return _saved(Siglip2Model(Siglip2Config(vision_config=vision, text_config=text)), folder)


def _saved(model: Any, folder: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if (
            parameter.ndim > 1
        ):  # the libraries' own start is so small that features hardly depend on the input
            parameter.data.normal_(generator=generator).div_(parameter.shape[-1] ** 0.5)
    model.half().save_pretrained(folder)
    return folder


def cached_repository(cache: Path, name: str) -> Path:
    """The folder where the hub's client would keep the files of `name`."""
    revision = "0" * 40
    root = cache / f"models--{name.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(revision)
    folder = root / "snapshots" / revision
    folder.mkdir(parents=True)
    return folder
