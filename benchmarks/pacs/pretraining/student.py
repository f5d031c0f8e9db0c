"""The encoder that is shipped: a plain transformers `CLIPModel` and its word-level tokenizer.

A transformer from scratch on a few thousand pictures lacks a convolution's habits. Here it starts with them,
inside the plain architecture: positions are waves in the first 32 dimensions of the stream, and the queries of
most heads are turned so that each patch first looks at one neighbour (after Zheng et al., "Structured
initialization for vision transformers", 2024). Training is free to leave that start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

from radapter.zeroshot import SHORT_TEMPLATES

CONTEXT = 24
TEMPLATES = (
    *SHORT_TEMPLATES,
    "{}",
    "a {}",
    "the {}.",
    "a photo of the {}.",
    "an image of a {}.",
    "a good photo of a {}.",
    "a small picture of the {}.",
    "a black and white sketch of the {}.",
    "an art painting of the {}.",
    "a cartoon of a {}.",
    "a cartoon {}.",
    "this is a {}.",
    "there is a {} in the picture.",
    "a rendering of a {}.",
)


def build_clip(vocabulary_size: int, image_size: int) -> CLIPModel:
    """A `CLIPModel` of 2.9 million parameters with random weights."""
    text = {
        "vocab_size": vocabulary_size,
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
    }
    text |= {"num_attention_heads": 4, "max_position_embeddings": CONTEXT, "hidden_act": "gelu"}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 3}
    vision = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 5, "num_attention_heads": 6}
    vision |= {"image_size": image_size, "patch_size": 8, "hidden_act": "gelu"}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=128)
    # The fused attention of CPUs is slower than the plain one at 65 tokens.
    clip = CLIPModel._from_config(config, attn_implementation="eager")
    with torch.no_grad():
        clip.logit_scale.fill_(math.log(10))
        _start_like_a_convolution(clip)
    return clip


def build_tokenizer(words: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Word level, lower case: pad 0, bos 1, unk 2, eos 3, then words in the order given, `size` in all."""
    vocabulary = {"<pad>": 0, "<bos>": 1, "<unk>": 2, "<eos>": 3}
    for word in words:
        if len(vocabulary) < size:
            vocabulary.setdefault(word, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<bos>", 1), ("<eos>", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=ends)
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>", "eos_token": "<eos>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=CONTEXT, **names)


def build_image_processor(image_size: int) -> CLIPImageProcessorPil:
    """Shortest edge to `image_size`, centre crop, [0, 1] to [-1, 1]."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": image_size},
        crop_size={"height": image_size, "width": image_size},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def words_of(texts: Iterable[str]) -> list[str]:
    """Words and signs in the order they first appear."""
    split = pre_tokenizers.Whitespace()
    return list(dict.fromkeys(word for text in texts for word, _ in split.pre_tokenize_str(text.lower())))


def tokens_of(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask`, (N, L), padded to the longest."""
    batch = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def text_features(clip: CLIPModel, tokens: dict[str, Tensor]) -> Tensor:
    """Unit norm, (N, E), on the model's device."""
    pooled = clip.text_model(**{name: value.to(clip.device) for name, value in tokens.items()}).pooler_output
    return torch.nn.functional.normalize(clip.text_projection(pooled).float(), dim=-1)


@torch.no_grad()
def zero_shot_head(clip: CLIPModel, tokenizer: PreTrainedTokenizerFast, names: Sequence[str]) -> Tensor:
    """Class embeddings averaged over the short templates, unit norm, (C, E)."""
    rows = []
    for name in names:
        tokens = tokens_of(tokenizer, [template.format(name) for template in SHORT_TEMPLATES])
        rows.append(text_features(clip, tokens).mean(0))
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def _start_like_a_convolution(clip: CLIPModel) -> None:
    """Heads that look at one neighbour each.

    With frequencies pi (f + 1/2) / side the waves of two different rows are orthogonal, so a query that is the
    wave of the place looked for meets one row and one column. The class token has no wave: it looks everywhere.
    """
    vision = clip.vision_model
    embeddings, side = vision.embeddings, vision.config.image_size // vision.config.patch_size
    width = vision.config.hidden_size // vision.config.num_attention_heads
    waves = 4 * side
    assert waves == width, "one head holds the sines and cosines of both axes"
    place = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()  # (patches, 2): row, column
    positions = embeddings.position_embedding.weight
    positions.mul_(0.1)
    positions[1:, :waves] = 0.23 * _waves(place, side)
    positions[0, :waves] = 0
    embeddings.patch_embedding.weight[:waves] = 0
    embeddings.class_embedding[:waves] = 0
    straight = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    diagonal = [(0, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]
    for number, layer in enumerate(vision.encoder.layers[:-1]):
        for head, shift in enumerate(diagonal if number % 2 else straight):
            rows = slice(head * width, (head + 1) * width)
            layer.self_attn.q_proj.weight[rows, :waves] = 1.05 * _turn(shift, side)
            layer.self_attn.k_proj.weight[rows, :waves] = 1.05 * torch.eye(waves)


def _frequencies(side: int) -> Tensor:
    return torch.pi * (torch.arange(side) + 0.5) / side


def _waves(place: Tensor, side: int) -> Tensor:
    """(N, 2) -> (N, 4 side): cosines of the rows, sines of the rows, and the same of the columns."""
    phase = place[:, :, None] * _frequencies(side)  # (N, 2, side)
    return torch.stack([phase.cos(), phase.sin()], 2).flatten(1)


def _turn(shift: tuple[int, int], side: int) -> Tensor:
    """The matrix that takes the waves of a place to those of the place `shift` further."""
    blocks = []
    for step in shift:
        cos, sin = (
            torch.diag((_frequencies(side) * step).cos()),
            torch.diag((_frequencies(side) * step).sin()),
        )
        blocks.append(torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)], 0))
    return torch.block_diag(*blocks)
