"""Segmentation's rows: the image tower learns, the text tower is frozen and its captions are read once."""

import copy

import pytest
import torch

from radapter.adapter import RAdapterConfig
from radapter.methods import SEGMENTATION, ContrastiveLearner, FrozenTextLearner, LabelledPairs, bound_loss

ROWS = ("full", "lora", "rslora", "r-adapter")


def learner_of(name: str, encoder):
    method = SEGMENTATION[name]
    loss = bound_loss("mpm-nce", margin=None, label_smoothing=None, logit_bias=None)
    return method.build(
        encoder, head=torch.zeros(0, encoder.embed_dim), loss=loss, adapter=RAdapterConfig(towers=("image",))
    ).learner


def pairs(encoder, *texts: str) -> LabelledPairs:
    torch.manual_seed(1)
    pixels = torch.randn(3, 3, encoder.image_size, encoder.image_size)
    return LabelledPairs(
        pixels, encoder.tokenize(list(texts)), torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1])
    )


@pytest.mark.parametrize("name", ROWS)
def test_no_parameter_of_the_text_tower_is_trained(name, encoder):
    learner = learner_of(name, encoder)
    assert isinstance(learner, FrozenTextLearner)
    assert not any(p.requires_grad for part in encoder.text_tower() for p in part.parameters())
    assert any(p.requires_grad for part in encoder.image_tower() for p in part.parameters())


def test_the_loss_is_that_of_reading_every_caption_anew(encoder):
    learner = learner_of("full", encoder)
    other = ContrastiveLearner(encoder, learner.loss)
    for texts in (("a star", "a sun"), ("a sun", "a car")):
        batch = pairs(encoder, *texts)
        assert torch.allclose(learner(batch), other(batch), atol=1e-6)


def test_each_caption_is_read_once(encoder, monkeypatch):
    learner, read = learner_of("full", encoder), []
    encode = encoder.encode_text
    monkeypatch.setattr(encoder, "encode_text", lambda tokens: read.append(len(tokens)) or encode(tokens))
    for texts in (("a star", "a sun"), ("a sun", "a car"), ("a car", "a star")):
        learner(pairs(encoder, *texts))
    assert read == [1, 1, 1]


def test_gradients_are_those_of_both_towers_with_the_text_tower_frozen(encoder):
    losses = {}
    for kind in (FrozenTextLearner, ContrastiveLearner):
        one = copy.deepcopy(encoder)
        learner = kind(one, learner_of("full", one).loss)
        learner(pairs(one, "a star", "a sun")).backward()
        losses[kind] = [p.grad for part in one.image_tower() for p in part.parameters() if p.grad is not None]
    assert losses[FrozenTextLearner]
    for ours, theirs in zip(*losses.values(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
