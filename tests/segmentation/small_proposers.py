"""Tiny MaskFormer and Mask2Former models with random weights, as the folders that users have."""

from pathlib import Path

import torch
from transformers import (
    DetrConfig,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessorPil,
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    MaskFormerImageProcessorPil,
    SwinConfig,
)

LABELS = {0: "sky", 1: "Road", 2: "tree"}
QUERIES = 6


def swin() -> SwinConfig:
    return SwinConfig(
        image_size=32,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[2, 2, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def mask2former() -> Mask2FormerForUniversalSegmentation:
    config = Mask2FormerConfig(
        backbone_config=swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=QUERIES,
        id2label=LABELS,
    )
    return drawn(Mask2FormerForUniversalSegmentation, config)


def maskformer() -> MaskFormerForInstanceSegmentation:
    decoder = DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=QUERIES,
    )
    config = MaskFormerConfig(
        backbone_config=swin(),
        decoder_config=decoder,
        fpn_feature_size=32,
        mask_feature_size=32,
        id2label=LABELS,
    )
    return drawn(MaskFormerForInstanceSegmentation, config)


def drawn(model_class, config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
        for parameter in model.parameters():
            if (
                parameter.ndim > 1
            ):  # the libraries' own start is so small that masks hardly depend on the image
                parameter.data.normal_().div_(parameter.shape[-1] ** 0.5)
    return model.eval()


def processor(kind: str):
    made = {"mask2former": Mask2FormerImageProcessorPil, "maskformer": MaskFormerImageProcessorPil}[kind]
    return made(size={"shortest_edge": 64, "longest_edge": 128})


def folder(path: Path, kind: str) -> Path:
    model = {"mask2former": mask2former, "maskformer": maskformer}[kind]()
    model.save_pretrained(path)
    processor(kind).save_pretrained(path)
    return path
