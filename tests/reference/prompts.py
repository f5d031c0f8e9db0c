"""CoOp's and CoCoOp's prompts and text encoder as the releases write them, for both libraries' CLIP."""

import torch
from torch import Tensor, nn


def embedded(encoder, text: str) -> tuple[Tensor, int]:
    """The token embeddings (L, D) of a text, and the position of its end token."""
    tokens = encoder.tokenize([text])
    table = (
        encoder.module.text_model.embeddings.token_embedding
        if encoder.library == "transformers"
        else encoder.module.token_embedding
    )
    return table(tokens)[0], int(encoder.token_counts([text])[0]) - 1


def coop_prompts(encoder, classnames, context: Tensor, position: str) -> tuple[Tensor, list[int]]:
    """Prompts (C, L, D): "X X .. NAME." is embedded, then the vectors (M, D) take the places of the Xs."""
    count, prompts, ends = len(context), [], []
    for name in classnames:
        name = name.replace("_", " ")
        rows, end = embedded(encoder, " ".join(["a"] * count) + f" {name}.")
        length = encoder.token_counts([name])[0] - 2
        prefix, suffix = rows[:1], rows[1 + count :]
        class_, rest = suffix[:length], suffix[length:]
        half = count // 2
        parts = {
            "end": [prefix, context, suffix],
            "middle": [prefix, context[:half], class_, context[half:], rest],
            "front": [prefix, class_, context, rest],
        }[position]
        prompts.append(torch.cat(parts))
        ends.append(end)
    return torch.stack(prompts), ends


def text_features(encoder, prompts: Tensor, ends: list[int]) -> Tensor:
    """The release's `TextEncoder`: unit-norm features (C, E) of embedded prompts, read at the end token."""
    module, length = encoder.module, prompts.shape[1]
    if encoder.library == "transformers":
        text = module.text_model
        x = text.embeddings(inputs_embeds=prompts)
        mask = torch.full((length, length), float("-inf"), dtype=x.dtype).triu(1)[None, None]
        for layer in text.encoder.layers:
            x = layer(x, attention_mask=mask)
            x = x if isinstance(x, Tensor) else x[0]
        x = text.final_layer_norm(x)
        x = module.text_projection(x[torch.arange(len(x)), ends])
    else:
        x = prompts + module.positional_embedding
        x = module.transformer(x, attn_mask=module.attn_mask)
        x = module.ln_final(x)
        x = x[torch.arange(len(x)), ends] @ module.text_projection
    return x / x.norm(dim=-1, keepdim=True)


def cocoop_logits(encoder, classnames, f: Tensor, context: Tensor, down: nn.Linear, up: nn.Linear) -> Tensor:
    """CoCoOp's logits (B, C), one image at a time."""
    logits = []
    for row in f:
        shift = up(torch.relu(down(row)))
        prompts, ends = coop_prompts(encoder, classnames, context + shift, "end")
        logits.append(encoder.logit_scale * row @ text_features(encoder, prompts, ends).T)
    return torch.stack(logits)
