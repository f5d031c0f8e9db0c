"""The folder of the world's dual encoder, a transformers CLIPModel of 1.3 M parameters, and its pixels."""

from pathlib import Path

import torch

TINY = Path(__file__).parent / "tiny"
MEAN = (0.5, 0.5, 0.5)
STD = (0.27, 0.27, 0.27)


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Pixels (N, 3, SIZE, SIZE), uint8, as the image tower takes them, float32."""
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return (images / 255 - mean) / std
