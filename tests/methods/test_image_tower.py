"""Segmentation's rows: the image tower learns, the text tower is frozen."""

import pytest
import torch

from radapter.losses import bound_loss
from radapter.methods import SEGMENTATION, MethodSettings
from radapter.methods.learner import learns
from radapter.methods.lora import lora_targets
from radapter.zeroshot import LinearHead

ROWS = [name for name, method in SEGMENTATION.items() if method.build is not None]


@pytest.mark.parametrize("name", ROWS)
def test_no_parameter_of_the_text_tower_is_trained_and_the_loss_is_r_adapters(name, encoder):
    method = SEGMENTATION[name]
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=None)
    settings = method.settings(MethodSettings())
    method.build(encoder, head=LinearHead(torch.zeros(0, encoder.embed_dim)), loss=loss, settings=settings)
    assert learns(encoder.image_tower())
    assert not learns(encoder.text_tower())
    assert method.losses[0] == "mpm-nce"


def test_updates_of_one_tower_are_part_of_those_of_both(encoder):
    image, both = lora_targets(encoder.module, ("image",)), lora_targets(encoder.module)
    assert set(image) < set(both)
    assert image == [name for name in both if name.startswith("vision_model")]
