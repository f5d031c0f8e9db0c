"""Real models of every supported family, small enough to run: the true widths or block types, few blocks."""

import functools
from collections.abc import Callable

import open_clip
import timm
import torch
import transformers
from torch import Tensor, nn

from radapter.models.openclip import initialise_captioner

Features = Callable[[], tuple[Tensor, ...]]

OPEN_CLIP = (
    "ViT-B-32",
    "ViT-B-16",
    "ViT-L-14",
    "ViT-B-16-SigLIP",
    "ViT-B-16-SigLIP2",
    "EVA02-B-16",
    "MobileCLIP2-B",
    "coca_ViT-B-32",
)
TRANSFORMERS = ("CLIPModel", "SiglipModel", "Siglip2Model")
FAMILIES = (*OPEN_CLIP, *TRANSFORMERS, "timm ViT", "open_clip sequence first", "open_clip custom blocks")


def build(name: str, *, batch: int = 2) -> tuple[nn.Module, Features]:
    """A frozen model of the family in evaluation mode, and a call that gives its features, each (B, E)."""
    torch.manual_seed(0)
    if name in OPEN_CLIP:
        model, features = _of_open_clip(name, batch)
    elif name in TRANSFORMERS:
        model, features = _of_transformers(name, batch)
    else:
        model, features = _OTHERS[name](batch)
    return model.eval().requires_grad_(False), features


def open_clip_model(config: dict) -> nn.Module:
    """The model class that open_clip chooses for a configuration."""
    config = dict(config)
    custom = config.pop("custom_text", False)
    if "multimodal_cfg" in config:
        model = open_clip.CoCa(**config)
        initialise_captioner(model)
        return model
    return (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)


def relative_difference(got: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest expected value."""
    return ((got - expected).abs().max() / expected.abs().max()).item()


def _of_open_clip(name: str, batch: int) -> tuple[nn.Module, Features]:
    """The true configuration with one block a tower and a small vocabulary."""
    config = open_clip.get_model_config(name)
    config["text_cfg"].update(layers=1, vocab_size=600)
    if "multimodal_cfg" in config:
        config["multimodal_cfg"].update(layers=1, vocab_size=600)
    if "timm_model_name" in config["vision_cfg"]:
        with _one_block_timm():
            model = open_clip_model(config)
    else:
        config["vision_cfg"]["layers"] = 1
        model = open_clip_model(config)
    return model, _features_of(model, batch, config["vision_cfg"]["image_size"])


def _features_of(model: nn.Module, batch: int, image_size: int) -> Features:
    images = torch.randn(batch, 3, image_size, image_size)
    tokens = torch.randint(1, 599, (batch, getattr(model, "context_length", 76)))
    return lambda: (model.encode_image(images.to(model.logit_scale.dtype)), model.encode_text(tokens))


class _one_block_timm:  # noqa: N801 - read as a block
    """open_clip gives timm no depth: inside, timm's towers have one block."""

    def __enter__(self) -> None:
        self.create_model = timm.create_model
        timm.create_model = functools.partial(timm.create_model, depth=1)

    def __exit__(self, *error: object) -> None:
        timm.create_model = self.create_model


def _of_transformers(name: str, batch: int) -> tuple[nn.Module, Features]:
    width = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision: dict = {**width, "patch_size": 8}
    text = {
        **width,
        "vocab_size": 99,
        "max_position_embeddings": 16,
        "projection_size": 32,
        "eos_token_id": 98,
    }
    vision["num_patches" if name == "Siglip2Model" else "image_size"] = 16 if name == "Siglip2Model" else 32
    config = getattr(transformers, name.replace("Model", "Config"))(text_config=text, vision_config=vision)
    model = getattr(transformers, name)(config)
    tokens = torch.randint(1, 98, (batch, 16))
    if name == "Siglip2Model":
        pixels = torch.randn(batch, 16, 3 * 8 * 8)
        mask, shapes = torch.ones(batch, 16, dtype=torch.long), torch.tensor([[4, 4]] * batch)
        images = {"pixel_values": pixels, "pixel_attention_mask": mask, "spatial_shapes": shapes}
    else:
        images = {"pixel_values": torch.randn(batch, 3, 32, 32)}

    def features() -> tuple[Tensor, ...]:
        cast = {**images, "pixel_values": images["pixel_values"].to(model.dtype)}
        return (
            model.get_image_features(**cast).pooler_output,
            model.get_text_features(input_ids=tokens).pooler_output,
        )

    return model, features


def _timm_vit(batch: int) -> tuple[nn.Module, Features]:
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=0)
    images = torch.randn(batch, 3, 32, 32)
    return model, lambda: (model(images.to(model.pos_embed.dtype)),)


def _sequence_first(batch: int) -> tuple[nn.Module, Features]:
    """open_clip's blocks as its older models ran them: (L, B, D)."""
    towers = nn.ModuleDict(
        {
            "image": open_clip.transformer.VisionTransformer(32, 8, 32, 2, 2, 4.0, output_dim=16),
            "text": open_clip.transformer.TextTransformer(16, 99, 32, 2, 2, output_dim=16),
        }
    )
    for tower in towers.values():
        tower.transformer.batch_first = False
        for block in tower.transformer.resblocks:
            block.attn.batch_first = False
    images, tokens = torch.randn(batch, 3, 32, 32), torch.randint(1, 98, (batch, 16))
    image = towers["image"]
    return towers, lambda: (image(images.to(image.proj.dtype)), towers["text"](tokens))


def _custom_blocks(batch: int) -> tuple[nn.Module, Features]:
    tower = open_clip.transformer.VisionTransformer(
        32, 8, 32, 2, 2, 4.0, output_dim=16, block_type="custom", scale_attn_inner=True
    )
    images = torch.randn(batch, 3, 32, 32)
    return tower, lambda: (tower(images.to(tower.proj.dtype)),)


_OTHERS = {
    "timm ViT": _timm_vit,
    "open_clip sequence first": _sequence_first,
    "open_clip custom blocks": _custom_blocks,
}
