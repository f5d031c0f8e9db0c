"""The trained head is the sources': stored times the logit scale, with a bias."""

import pytest
import torch
from torch.nn import functional as F

import radapter
from radapter.losses import bound_loss
from radapter.methods import METHODS, LabelledPairs, MethodSettings, trained_parameters
from radapter.zeroshot import LinearHead

LEARNING_RATE, DECAY, EPS = 1e-3, 0.1, 1e-8


@pytest.fixture
def encoder():
    return radapter.load("world:tiny").double()


def embeddings_of(encoder, classes: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(classes, encoder.embed_dim, generator=generator).double(), dim=-1)


def full(encoder):
    loss = bound_loss("cross-entropy", margin=None, label_smoothing=None, logit_bias=None)
    head = LinearHead.zero_shot(embeddings_of(encoder), encoder.logit_scale)
    return METHODS["full"].build(encoder, head=head, loss=loss, settings=MethodSettings()).learner


def test_a_zero_shot_head_gives_the_scaled_cosines(encoder):
    features = F.normalize(torch.randn(3, encoder.embed_dim).double(), dim=-1)
    logits = LinearHead.zero_shot(embeddings_of(encoder), encoder.logit_scale)(features)
    torch.testing.assert_close(logits, encoder.logit_scale * features @ embeddings_of(encoder).T)


def test_a_head_computes_in_float32_under_autocast():
    head = LinearHead(torch.randn(5, 8))
    features = F.normalize(torch.randn(3, 8), dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        found = head(features)
    assert torch.equal(found, features @ head.weight.T)


def test_one_step_of_full_is_adamw_on_a_scaled_head_with_bias(encoder):
    weight = (encoder.logit_scale * embeddings_of(encoder)).detach().requires_grad_()
    bias = torch.zeros(5).double().requires_grad_()
    images = torch.randn(6, 3, encoder.image_size, encoder.image_size).double()
    targets = torch.tensor([0, 1, 2, 3, 4, 0])
    learner = full(encoder)
    towers = [p for p in encoder.parameters() if p.requires_grad]
    logits = F.normalize(encoder.encode_image(images), dim=-1) @ weight.T + bias
    starts = [*towers, weight, bias]
    gradients = torch.autograd.grad(F.cross_entropy(logits, targets), starts)
    # the first step of AdamW (Loshchilov & Hutter 2019): both moments, corrected, are g and g^2
    expected = [
        start * (1 - LEARNING_RATE * DECAY) - LEARNING_RATE * g / (g.abs() + EPS)
        for start, g in zip(starts, gradients, strict=True)
    ]
    trained = list(trained_parameters(learner).values())
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=DECAY, eps=EPS)
    learner(LabelledPairs(images, torch.zeros(0, 8).long(), targets, targets)).backward()
    optimizer.step()
    for found, wanted in zip(trained, expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted.detach(), rtol=0, atol=1e-9)
