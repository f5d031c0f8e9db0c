"""The world's dual encoder before pre-training: a transformers CLIPModel of 1.3 M parameters, and its folder."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from radapter.world import tokens
from radapter.world.drawing import MEAN, SIZE, STD

PATCH = 8


def new_model(seed: int, *, width: int = 128, image_layers: int = 4, text_layers: int = 2) -> CLIPModel:
    """An untrained encoder in evaluation mode, float32.

    Args:
        seed: Of the weights; torch's global generator is not used.
        width: Of both towers and of the joint space; four heads each.
        image_layers: Blocks of the image tower.
        text_layers: Blocks of the text tower.
    """
    shared = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
    }
    text = CLIPTextConfig(
        **shared,
        num_hidden_layers=text_layers,
        vocab_size=len(tokens.VOCABULARY),
        max_position_embeddings=tokens.CONTEXT,
        pad_token_id=tokens.PAD,
        bos_token_id=tokens.BOS,
        eos_token_id=tokens.EOS,
        projection_dim=width,
    )
    vision = CLIPVisionConfig(
        **shared, num_hidden_layers=image_layers, image_size=SIZE, patch_size=PATCH, projection_dim=width
    )
    config = CLIPConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=width,
        logit_scale_init_value=2.659,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIPModel(config).eval()


def save(model: CLIPModel, folder: Path) -> None:
    """Writes the model in half precision with its tokenizer and image processor; files of the same names are
    replaced.
    """
    half = CLIPModel(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)
    tokens.tokenizer().save_pretrained(folder)
    image_processor().save_pretrained(folder)


def image_processor() -> CLIPImageProcessorPil:
    """The world's pixels have SIZE x SIZE already: resizing and cropping to SIZE change nothing."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=MEAN,
        image_std=STD,
    )
