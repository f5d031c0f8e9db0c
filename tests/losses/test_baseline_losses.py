"""The baselines' losses: CLIP's, cross-entropy over a linear head, SigLIP's."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss, SigLipLoss
from reference import mpm_nce as reference
from torch.nn import functional as F

from radapter.losses import clip_loss, head_cross_entropy, siglip_loss


def unit(rows, dim=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, dim, generator=generator, dtype=dtype), dim=-1)


@given(st.integers(1, 8), st.integers(0, 10_000))
def test_clip_loss_is_open_clips(batch, seed):
    images, texts = unit(batch, seed=seed), unit(batch, seed=seed + 1)
    theirs = ClipLoss()(images, texts, torch.tensor(20.0, dtype=torch.float64))
    torch.testing.assert_close(clip_loss(images, texts, 20.0), theirs)


@given(st.integers(1, 8), st.integers(0, 10_000))
def test_siglip_loss_with_unique_targets_is_open_clips(batch, seed):
    images, texts = unit(batch, seed=seed), unit(batch, seed=seed + 1)
    scale, bias = torch.tensor(10.0, dtype=torch.float64), torch.tensor(-10.0, dtype=torch.float64)
    theirs = SigLipLoss()(images, texts, scale, bias)
    torch.testing.assert_close(siglip_loss(images, texts, torch.arange(batch), scale, bias), theirs)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(0, 10_000))
def test_siglip_loss_is_its_equation(targets, seed):
    images, texts = unit(len(targets), seed=seed), unit(len(targets), seed=seed + 1)
    ours = siglip_loss(images, texts, torch.tensor(targets), 10.0, -4.0).item()
    assert ours == pytest.approx(reference.siglip(images.tolist(), texts.tolist(), targets, 10.0, -4.0))


def test_siglip_loss_of_one_orthogonal_pair_is_log_two():
    loss = siglip_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([0]), 10.0, None)
    assert loss.item() == pytest.approx(math.log(2))


@given(st.integers(1, 5), st.integers(1, 6), st.floats(0, 0.9), st.integers(0, 10_000))
def test_head_cross_entropy_is_its_equation(classes, batch, smoothing, seed):
    images, weight = unit(batch, seed=seed), 15.0 * unit(classes, seed=seed + 1)
    bias = unit(1, classes, seed=seed + 2)[0]
    targets = torch.arange(batch) % classes
    ours = head_cross_entropy(images, weight, bias, targets, label_smoothing=smoothing).item()
    theirs = reference.head_cross_entropy(*(t.tolist() for t in (images, weight, bias, targets)), smoothing)
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_gradients_of_the_baseline_losses_are_right():
    images, texts = unit(4).requires_grad_(), unit(4, seed=1).requires_grad_()
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 0, 1, 2])
    check = torch.autograd.gradcheck
    assert check(clip_loss, (images, texts, scale))
    biases = unit(1, 4)[0].requires_grad_()
    assert check(
        lambda x, w, b: head_cross_entropy(x, w, b, targets, label_smoothing=0.1), (images, texts, biases)
    )
    assert check(lambda x, y, s, b: siglip_loss(x, y, targets, s, b), (images, texts, scale, bias))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("batch", [1, 3])
def test_baseline_losses_are_finite_at_cosines_of_minus_one(dtype, batch):
    images = F.normalize(torch.ones(batch, 8), dim=-1).to(dtype).requires_grad_()
    targets = torch.arange(batch)
    with torch.autocast("cpu", torch.bfloat16):
        total = clip_loss(images, -images, 100.0) + siglip_loss(images, -images, targets, 100.0, -10.0)
        total = total + head_cross_entropy(images, -100 * images, torch.zeros(batch), targets)
    total.backward()
    assert total.dtype == torch.float32
    assert total.isfinite()
    assert images.grad.isfinite().all()


def test_a_head_of_another_width_is_named():
    targets = torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"weight must be \(C, E\) with E = 6 .* Got \(3, 7\)"):
        head_cross_entropy(unit(2), unit(3, dim=7), torch.zeros(3), targets)
    with pytest.raises(ValueError, match=r"bias must be \(C,\) = \(3,\) .* Got \(2,\)"):
        head_cross_entropy(unit(2), unit(3), torch.zeros(2), targets)
