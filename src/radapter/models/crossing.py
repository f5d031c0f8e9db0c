"""CLIP ViTs between transformers and open_clip: the same numbers under the other library's names.

The architecture exists on both sides if the image tower is CLIP's ViT with a class token, the text tower is causal
and pooled at the end-of-text token, and both towers share one activation, GELU or QuickGELU. The differences:
- open_clip fuses the query, key and value matrices and stores its projections transposed;
- transformers pools at the first eos id, but at the largest id if its eos id is 2; open_clip names the two
  `pool_type` "eos" (with `eos_id`) and "argmax".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from radapter.errors import ModelError

HERE = "."
"""In place of a tokenizer's name: from a folder, open_clip takes the tokenizer in it, whatever the name."""
_ARGMAX_EOS = 2  # transformers' mark of CLIP models that pool at the largest id
_ACTIVATIONS = {"gelu": False, "quick_gelu": True}
_PILLOW = {"bilinear": 2, "bicubic": 3}
_PLAIN_VISION = {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "norm_kwargs"}
_PLAIN_TEXT = {
    "context_length", "vocab_size", "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs", "width", "heads",
    "layers", "mlp_ratio", "pad_id", "eos_id", "pool_type", "norm_kwargs",
}  # fmt: skip
_PLAIN_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}

# transformers' names of sizes, open_clip's and open_clip's defaults
_VISION_SIZES = (
    ("hidden_size", "width", 768), ("num_hidden_layers", "layers", 12), ("image_size", "image_size", 224),
    ("patch_size", "patch_size", 16),
)  # fmt: skip
_TEXT_SIZES = (
    ("hidden_size", "width", 512), ("num_hidden_layers", "layers", 12), ("num_attention_heads", "heads", 8),
    ("vocab_size", "vocab_size", 49408), ("max_position_embeddings", "context_length", 77),
)  # fmt: skip

# transformers' names and open_clip's of tensors that are neither fused nor transposed
_NAMES = (
    ("logit_scale", "logit_scale"),
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
)
# the same of layers with a weight and a bias: in the towers, and in each block
_NORMS = (
    ("text_model.final_layer_norm", "ln_final"),
    ("vision_model.pre_layrnorm", "visual.ln_pre"),
    ("vision_model.post_layernorm", "visual.ln_post"),
)
_BLOCK_LAYERS = (
    ("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
)  # fmt: skip
_TRANSPOSED = (("text_projection.weight", "text_projection"), ("visual_projection.weight", "visual.proj"))
_TOWERS = (("vision_model.encoder.layers", "visual.transformer.resblocks"),
           ("text_model.encoder.layers", "transformer.resblocks"))  # fmt: skip


def open_clip_config(config: Any) -> dict[str, Any]:
    """open_clip's `model_cfg` for transformers' CLIP. Raises ModelError if open_clip has no such architecture."""
    if config.model_type != "clip":
        raise ModelError(f"only CLIP crosses to open_clip, not '{config.model_type}'. Use transformers.")
    text, vision = config.text_config, config.vision_config
    if text.hidden_act != vision.hidden_act or text.hidden_act not in _ACTIVATIONS:
        acts = f"{vision.hidden_act} and {text.hidden_act}"
        raise ModelError(f"open_clip's CLIP has one activation, gelu or quick_gelu. This model has {acts}.")
    if vision.num_channels != 3:
        raise ModelError(f"open_clip's CLIP takes 3 channels. This model takes {vision.num_channels}.")
    if text.eos_token_id is None:
        raise ModelError("the eos_token_id of the text tower must be set to cross to open_clip. It is None.")
    towers: list[dict[str, Any]] = []
    for tower, sizes in ((vision, _VISION_SIZES), (text, _TEXT_SIZES)):
        towers.append({theirs: getattr(tower, ours) for ours, theirs, _ in sizes})
        towers[-1]["mlp_ratio"] = tower.intermediate_size / tower.hidden_size
        towers[-1]["norm_kwargs"] = {"eps": tower.layer_norm_eps}
    pool_type = "argmax" if text.eos_token_id == _ARGMAX_EOS else "eos"
    return {
        "embed_dim": config.projection_dim,
        "quick_gelu": _ACTIVATIONS[text.hidden_act],
        "vision_cfg": towers[0] | {"head_width": vision.hidden_size // vision.num_attention_heads},
        "text_cfg": towers[1]
        | {"hf_tokenizer_name": HERE, "pool_type": pool_type, "eos_id": text.eos_token_id},
    }


def transformers_config(config: Mapping[str, Any]) -> CLIPConfig:
    """transformers' CLIP for open_clip's `model_cfg`. Raises ModelError if it has no such architecture."""
    vision, text = dict(config["vision_cfg"]), dict(config["text_cfg"])
    for part, given, plain in (
        ("model", config, _PLAIN_MODEL), ("vision_cfg", vision, _PLAIN_VISION), ("text_cfg", text, _PLAIN_TEXT)
    ):  # fmt: skip
        if strange := sorted(key for key, value in given.items() if key not in plain and value):
            keys = f"{', '.join(strange)} in open_clip's {part}"
            raise ModelError(f"transformers' CLIP has no counterpart of {keys}. Use format='open_clip'.")
    if not isinstance(vision.get("layers", 12), int):
        raise ModelError("transformers' CLIP has a ViT, this model a ResNet. Use format='open_clip'.")
    pool_type, eos_id = text.get("pool_type", "argmax"), text.get("eos_id", 2)
    if pool_type not in ("argmax", "eos") or (pool_type == "eos" and eos_id == _ARGMAX_EOS):
        raise ModelError(
            f"transformers' CLIP pools text at an eos id other than 2, or at the largest id. This model has "
            f"pool_type '{pool_type}' and eos_id {eos_id}. Use format='open_clip'."
        )
    towers = []
    for tower, sizes in ((vision, _VISION_SIZES), (text, _TEXT_SIZES)):
        of_tower = {ours: tower.get(theirs, default) for ours, theirs, default in sizes}
        of_tower["intermediate_size"] = int(of_tower["hidden_size"] * tower.get("mlp_ratio", 4.0))
        of_tower["layer_norm_eps"] = (tower.get("norm_kwargs") or {}).get("eps", 1e-5)
        of_tower["hidden_act"] = "quick_gelu" if config.get("quick_gelu") else "gelu"
        of_tower["projection_dim"] = config["embed_dim"]
        towers.append(of_tower)
    heads = towers[0]["hidden_size"] // vision.get("head_width", 64)
    ids = {
        "bos_token_id": 0,
        "pad_token_id": text.get("pad_id", 0),
        "eos_token_id": _ARGMAX_EOS if pool_type == "argmax" else eos_id,
    }
    return CLIPConfig(
        vision_config=CLIPVisionConfig(**towers[0], num_attention_heads=heads).to_dict(),
        text_config=CLIPTextConfig(**towers[1], **ids).to_dict(),
        projection_dim=config["embed_dim"],
    )


def open_clip_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A transformers CLIPModel's state dict under open_clip's names."""
    blocks = _blocks(weights, 0, "layer_norm1.weight")
    crossed = {theirs: weights[ours] for ours, theirs in _plain_names(blocks)}
    crossed |= {theirs: weights[ours].T for ours, theirs in _TRANSPOSED}
    for ours, theirs in blocks:
        for kind in ("weight", "bias"):
            fused = [weights[f"{ours}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            crossed[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(fused)
    return {name: tensor.contiguous() for name, tensor in crossed.items()}


def transformers_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An open_clip CLIP's state dict under transformers' names."""
    blocks = _blocks(weights, 1, "ln_1.weight")
    crossed = {ours: weights[theirs] for ours, theirs in _plain_names(blocks)}
    crossed["logit_scale"] = crossed["logit_scale"].reshape(())
    crossed |= {ours: weights[theirs].T for ours, theirs in _TRANSPOSED}
    for ours, theirs in blocks:
        for kind in ("weight", "bias"):
            for part, tensor in zip("qkv", weights[f"{theirs}.attn.in_proj_{kind}"].chunk(3), strict=True):
                crossed[f"{ours}.self_attn.{part}_proj.{kind}"] = tensor
    return {name: tensor.contiguous() for name, tensor in crossed.items()}


def transformers_model(weights: Mapping[str, Tensor], config: CLIPConfig) -> nn.Module:
    """transformers' CLIPModel, in evaluation mode, with the weights of an open_clip CLIP."""
    crossed = transformers_weights(weights)
    with torch.device("meta"):
        model: nn.Module = CLIPModel(config)
    model = model.to_empty(device="cpu").to(crossed["logit_scale"].dtype)
    model.load_state_dict(crossed)
    return model.eval()


def open_clip_preprocess(processor: Any, image_size: int) -> dict[str, Any]:
    """open_clip's `preprocess_cfg` for an image processor. Raises ModelError if there is none like it."""
    size, names = dict(processor.size), {number: name for name, number in _PILLOW.items()}
    crops = bool(getattr(processor, "do_center_crop", False))
    if crops and size.get("shortest_edge") == image_size:
        mode = "shortest"
    elif not crops and size.get("height") == size.get("width") == image_size:
        mode = "squash"
    else:
        raise ModelError(
            f"open_clip resizes the shorter side, or both, to the model's {image_size} pixels. This model's image "
            f"processor resizes to {size}, cropping: {crops}. Use format='transformers'."
        )
    if int(processor.resample) not in names:
        raise ModelError(f"open_clip resizes bicubic or bilinear, this model by {processor.resample}.")
    return {
        "size": image_size,
        "mode": "RGB",
        "mean": list(processor.image_mean),
        "std": list(processor.image_std),
        "interpolation": names[int(processor.resample)],
        "resize_mode": mode,
        "fill_color": 0,
    }


def transformers_processor(preprocess: Mapping[str, Any]) -> CLIPImageProcessorPil:
    """transformers' CLIP processor for a `preprocess_cfg`. Raises ModelError if there is none like it."""
    square = {"height": preprocess["size"], "width": preprocess["size"]}
    mode = preprocess["resize_mode"]
    if mode not in ("shortest", "squash") or preprocess["interpolation"] not in _PILLOW:
        raise ModelError(
            f"transformers' CLIP resizes the shorter side or both, bicubic or bilinear. This model has resize_mode "
            f"'{mode}' and interpolation '{preprocess['interpolation']}'. Use format='open_clip'."
        )
    return CLIPImageProcessorPil(
        size={"shortest_edge": preprocess["size"]} if mode == "shortest" else square,
        do_center_crop=mode == "shortest",
        crop_size=square,
        resample=_PILLOW[preprocess["interpolation"]],
        image_mean=list(preprocess["mean"]),
        image_std=list(preprocess["std"]),
    )


def check_plain(module: nn.Module) -> None:
    """Raises ModelError for open_clip modules without a counterpart: CustomTextCLIP, CoCa, a logit bias."""
    import open_clip

    if not isinstance(module, open_clip.CLIP) or module.logit_bias is not None:
        raise ModelError(
            f"only open_clip's plain CLIP crosses to transformers. This model is a {type(module).__name__}"
            f"{' with a logit bias' if module.logit_bias is not None else ''}. Use format='open_clip'."
        )


def _blocks(weights: Mapping[str, Tensor], side: int, last: str) -> list[tuple[str, str]]:
    """The names of all blocks in transformers and in open_clip; `weights` have those of one side."""
    found = []
    for tower in _TOWERS:
        depth = 0
        while f"{tower[side]}.{depth}.{last}" in weights:
            found.append((f"{tower[0]}.{depth}", f"{tower[1]}.{depth}"))
            depth += 1
    return found


def _plain_names(blocks: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """transformers' name and open_clip's of every tensor that is neither fused nor transposed."""
    yield from _NAMES
    inside = ((f"{ours}.{name}", f"{theirs}.{its}") for ours, theirs in blocks for name, its in _BLOCK_LAYERS)
    for ours, theirs in (*_NORMS, *inside):
        yield from ((f"{ours}.{kind}", f"{theirs}.{kind}") for kind in ("weight", "bias"))
