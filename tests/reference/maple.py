"""MaPLe's two towers as the release writes them (`trainers/maple.py`, `clip/model.py`), block by block."""

import torch
from reference.prompts import embedded
from torch import Tensor


def _blocks(encoder, tower: str):
    module = encoder.module
    if encoder.library == "transformers":
        part = module.vision_model if tower == "image" else module.text_model
        return part.encoder.layers
    return (module.visual.transformer if tower == "image" else module.transformer).resblocks


def _block(block, x: Tensor, mask: Tensor | None) -> Tensor:
    if hasattr(block, "self_attn"):
        x = block(x, attention_mask=None if mask is None else mask[None, None])
        return x if isinstance(x, Tensor) else x[0]
    return block(x, attn_mask=mask)


def text_features(encoder, classnames, prompts: Tensor) -> Tensor:
    """Unit-norm features (C, E); prompts (J, M, D)."""
    depth, count, _ = prompts.shape
    rows, ends = [], []
    for name in classnames:
        whole, end = embedded(encoder, f"a photo of a {name.replace('_', ' ')}.")
        rows.append(torch.cat([whole[:1], prompts[0], whole[1 + count :]]))
        ends.append(end)
    x, module = torch.stack(rows), encoder.module
    length = x.shape[1]
    mask = torch.full((length, length), float("-inf"), dtype=x.dtype).triu(1)
    hf = encoder.library == "transformers"
    x = module.text_model.embeddings(inputs_embeds=x) if hf else x + module.positional_embedding
    for number, block in enumerate(_blocks(encoder, "text")):
        if 0 < number < depth:
            context = prompts[number].expand(len(x), -1, -1)
            x = torch.cat([x[:, :1], context, x[:, 1 + count :]], dim=1)
        x = _block(block, x, mask)
    at = torch.arange(len(x))
    if hf:
        x = module.text_projection(module.text_model.final_layer_norm(x)[at, ends])
    else:
        x = module.ln_final(x)[at, ends] @ module.text_projection
    return x / x.norm(dim=-1, keepdim=True)


def image_features(encoder, pixels: Tensor, prompts: Tensor, projections) -> Tensor:
    """Unit-norm features (B, E)."""
    depth, count, _ = prompts.shape
    shared = [project(prompt) for project, prompt in zip(projections, prompts, strict=True)]
    module, hf = encoder.module, encoder.library == "transformers"
    if hf:
        x = module.vision_model.embeddings(pixels)
    else:
        visual = module.visual
        x = visual.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1) + visual.positional_embedding
    x = torch.cat([x, shared[0].expand(len(x), -1, -1)], dim=1)
    x = module.vision_model.pre_layrnorm(x) if hf else module.visual.ln_pre(x)
    for number, block in enumerate(_blocks(encoder, "image")):
        if 0 < number < depth:
            x = torch.cat([x[:, : x.shape[1] - count], shared[number].expand(len(x), -1, -1)], dim=1)
        x = _block(block, x, None)
    if hf:
        x = module.visual_projection(module.vision_model.post_layernorm(x[:, 0]))
    else:
        x = module.visual.ln_post(x[:, 0]) @ module.visual.proj
    return x / x.norm(dim=-1, keepdim=True)
