"""Image towers written out with mask prompts between their blocks."""

import torch


def background(mask, patch):
    """(h * w) bools, row by row: which patches show no pixel of the mask (S, S)."""
    side = mask.shape[0] // patch
    flags = []
    for row in range(side):
        for column in range(side):
            square = mask[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            flags.append(not any(square.flatten().tolist()))
    return flags


def replaced(tokens, prompts, flags):
    """tokens (N, D) with prompts (N, D) where flags say background."""
    return torch.stack([p if flag else t for t, p, flag in zip(tokens, prompts, flags, strict=True)])


def transformers_clip(model, pixels, mask, prompts):
    """Features (E,) of one crop (3, S, S)."""
    vision = model.vision_model
    conv = vision.embeddings.patch_embedding
    flags = background(mask, conv.kernel_size[0])
    patches = conv(pixels[None])[0].flatten(1).T
    x = torch.cat([vision.embeddings.class_embedding[None], replaced(patches, prompts[0], flags)])
    x = vision.pre_layrnorm(x + vision.embeddings.position_embedding.weight)
    for number, block in enumerate(vision.encoder.layers, start=1):
        x = block(x[None], attention_mask=None)[0]
        if number < len(prompts):
            x = torch.cat([x[:1], replaced(x[1:], prompts[number], flags)])
    return model.visual_projection(vision.post_layernorm(x[0]))


def open_clip(model, pixels, mask, prompts):
    """Features (E,) of one crop (3, S, S)."""
    visual = model.visual
    flags = background(mask, visual.conv1.kernel_size[0])
    patches = visual.conv1(pixels[None])[0].flatten(1).T
    x = torch.cat([visual.class_embedding[None], replaced(patches, prompts[0], flags)])
    x = visual.ln_pre(x + visual.positional_embedding)
    for number, block in enumerate(visual.transformer.resblocks, start=1):
        x = block(x[None])[0]
        if number < len(prompts):
            x = torch.cat([x[:1], replaced(x[1:], prompts[number], flags)])
    return visual.ln_post(x[0]) @ visual.proj
