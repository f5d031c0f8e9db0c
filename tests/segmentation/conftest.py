"""Small encoders of both libraries that take mask prompts, and scenes."""

import copy

import pytest
import torch
from models.small import OPEN_CLIP
from PIL import Image

import radapter
from radapter.world import draw, sample


@pytest.fixture
def open_clip_encoder(monkeypatch: pytest.MonkeyPatch):
    """An open_clip ViT of four blocks on 32 x 32 pixels, random weights."""
    import open_clip

    config = copy.deepcopy(OPEN_CLIP)
    config["vision_cfg"]["layers"] = 4
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT-4", config)
    return radapter.load("open_clip:tiny-ViT-4", seed=1)


@pytest.fixture(scope="session")
def scenes():
    """Four scenes: RGB images and masks (4, H, W) that number their objects."""
    images, masks = draw(sample(11, torch.arange(4), styles=("photo",)))
    return [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels in images], masks
