"""The paper's loss: equal to its equation, finite everywhere, every option observable."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from reference import mpm_nce as reference
from torch.nn import functional as F

from radapter.errors import ConfigError
from radapter.losses import clip_loss, mpm_nce


def features(batch, dim=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, batch, dim, generator=generator, dtype=torch.float64)
    return F.normalize(both, dim=-1).to(dtype).unbind()


@st.composite
def batches(draw):
    batch = draw(st.integers(1, 7))
    images, texts = features(batch, seed=draw(st.integers(0, 10_000)))
    targets = torch.tensor(draw(st.lists(st.integers(0, 3), min_size=batch, max_size=batch)))
    options = {"margin": draw(st.floats(0, 1)), "label_smoothing": draw(st.floats(0, 0.9))}
    return images, texts, targets, draw(st.floats(0.5, 50)), options


@given(batches())
def test_mpm_nce_is_the_papers_equation(case):
    images, texts, targets, scale, options = case
    ours = mpm_nce(images, texts, targets, scale, **options).item()
    theirs = reference.mpm_nce(
        images.tolist(),
        texts.tolist(),
        targets.tolist(),
        1 / scale,
        options["margin"],
        options["label_smoothing"],
    )
    assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-10)


@given(batches(), st.randoms(use_true_random=False))
def test_order_of_the_batch_does_not_change_the_loss(case, random):
    images, texts, targets, scale, options = case
    order = list(range(len(targets)))
    random.shuffle(order)
    shuffled = mpm_nce(images[order], texts[order], targets[order], scale, **options)
    torch.testing.assert_close(shuffled, mpm_nce(images, texts, targets, scale, **options))


@given(batches())
def test_swapping_images_and_texts_does_not_change_the_loss(case):
    images, texts, targets, scale, options = case
    swapped = mpm_nce(texts, images, targets, scale, **options)
    torch.testing.assert_close(swapped, mpm_nce(images, texts, targets, scale, **options))


@given(batches(), st.integers(-5, 5))
def test_only_equality_of_targets_counts(case, shift):
    images, texts, targets, scale, options = case
    renamed = mpm_nce(images, texts, 3 * targets + shift, scale, **options)
    torch.testing.assert_close(renamed, mpm_nce(images, texts, targets, scale, **options))


@given(batches())
def test_positives_may_exchange_their_texts(case):
    # Which text of a class belongs to which of its images is no matter: all are positives of each other.
    images, texts, targets, scale, options = case
    order = torch.argsort(targets, stable=True)
    images, texts, targets = images[order], texts[order], targets[order]
    within = torch.cat([torch.where(targets == t)[0].flip(0) for t in targets.unique()])
    exchanged = mpm_nce(images, texts[within], targets, scale, **options)
    torch.testing.assert_close(exchanged, mpm_nce(images, texts, targets, scale, **options))


@given(batches())
def test_mpm_nce_with_unique_targets_is_clip_loss(case):
    images, texts, _, scale, _ = case
    ours = mpm_nce(images, texts, torch.arange(len(images)), scale, margin=0)
    torch.testing.assert_close(ours, ClipLoss()(images, texts, torch.tensor(scale)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours, clip_loss(images, texts, scale))


def test_two_by_two_worked_by_hand():
    # x = y = the unit axes: cosines are the identity. Scale 2, margin 1/2: a row's logits are (2, 1).
    axes = torch.eye(2, dtype=torch.float64)
    loss = mpm_nce(axes, axes, torch.tensor([0, 1]), 2.0, margin=0.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_two_by_two_with_smoothing_worked_by_hand():
    # Logits (2, 1) and targets (0.9, 0.1): LSE - (0.9 * 2 + 0.1 * 1).
    axes = torch.eye(2, dtype=torch.float64)
    loss = mpm_nce(axes, axes, torch.tensor([0, 1]), 2.0, margin=0.5, label_smoothing=0.1)
    assert loss.item() == pytest.approx(math.log(math.exp(2) + math.exp(1)) - 1.9)


@pytest.mark.parametrize(("margin", "label_smoothing"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.3)])
def test_two_of_one_class_worked_by_hand(margin, label_smoothing):
    # No negative in any row: targets (1/2, 1/2), logits (2, 0) without a margin, whatever the options.
    axes = torch.eye(2, dtype=torch.float64)
    loss = mpm_nce(axes, axes, torch.tensor([7, 7]), 2.0, margin=margin, label_smoothing=label_smoothing)
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 1) - 1.0)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.02])
def test_margin_changes_the_loss(label_smoothing):
    images, texts = features(6)
    targets = torch.tensor([0, 0, 1, 1, 2, 3])
    plain, wider = (
        mpm_nce(images, texts, targets, 10.0, margin=m, label_smoothing=label_smoothing) for m in (0.0, 0.05)
    )
    assert abs(wider - plain) > 1e-3


def test_label_smoothing_changes_the_loss():
    images, texts = features(6)
    plain, smoothed = (mpm_nce(images, texts, torch.arange(6), 10.0, label_smoothing=e) for e in (0.0, 0.02))
    assert abs(smoothed - plain) > 1e-3


@pytest.mark.parametrize("targets", [[0, 1, 2, 3], [0, 0, 1, 2], [5, 5, 5, 5]])
@pytest.mark.parametrize("options", [{"margin": 0.0}, {"margin": 0.3, "label_smoothing": 0.1}])
def test_gradients_are_right(targets, options):
    images, texts = (t.requires_grad_() for t in features(4, dim=3))
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y, s: mpm_nce(x, y, torch.tensor(targets), s, **options), (images, texts, scale)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("targets", [[0], [3, 3, 3], [0, 1, 2], [0, 0, 1]])
def test_value_and_gradient_are_finite_at_cosines_of_minus_one(dtype, targets):
    images = F.normalize(torch.ones(len(targets), 8), dim=-1).to(dtype).requires_grad_()
    texts = (-images.detach()).requires_grad_()
    scale = torch.tensor(100.0, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = mpm_nce(images, texts, torch.tensor(targets), scale, label_smoothing=0.02)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(t.isfinite().all() for t in (loss, images.grad, texts.grad, scale.grad))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_opposite_pairs_at_scale_100_have_a_finite_loss_and_gradient(dtype):
    # Every own text at cosine -1, every other at +1: log(exp / sum) would be log(0) here.
    sign = torch.tensor([[1.0], [-1.0]], dtype=dtype)
    images = sign.repeat(1, 4).div(2).requires_grad_()
    loss = mpm_nce(images, -images.detach(), torch.tensor([0, 1]), 100.0)
    loss.backward()
    assert loss.item() == pytest.approx(205.0)  # 100 * (1 + 0.05 - -1)
    assert images.grad.isfinite().all()


def test_autocast_does_not_change_the_value():
    images, texts = features(16, dim=32, dtype=torch.float32)
    targets = torch.arange(16) // 2
    with torch.autocast("cpu", torch.bfloat16):
        inside = mpm_nce(images, texts, targets, 100.0)
    assert inside == mpm_nce(images, texts, targets, 100.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_features": torch.ones(3, 5)}, "text_features must have the shape"),
        ({"image_features": torch.ones(5)}, r"image_features must be \(B, E\)"),
        ({"targets": torch.zeros(4, 1, dtype=torch.long)}, r"targets must be \(B,\) = \(4,\). Got \(4, 1\)"),
        ({"targets": torch.zeros(4)}, "targets must be integers"),
        ({"margin": -0.1}, "margin must be a finite number >= 0. Got -0.1"),
        ({"margin": math.nan}, "margin must be a finite number"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\). Got 1.0"),
    ],
)
def test_wrong_input_is_named(change, words):
    images, texts = features(4)
    right = {"image_features": images, "text_features": texts, "targets": torch.arange(4), "logit_scale": 1.0}
    with pytest.raises(ValueError, match=words) as raised:
        mpm_nce(**(right | change))
    assert isinstance(raised.value, ConfigError) == ("margin" in change or "label_smoothing" in change)


def _released(image_features, text_features, labels, scale, ls, mg):
    """The branch of clip/loss.py that the release trains with, whatever eps: 9680117, on one process."""
    logits = scale * image_features @ text_features.T
    equal = (labels[None] == labels[:, None]).double()
    positives = equal.sum(1, keepdim=True)
    smooth = (1 - ls) * equal / positives + ls / (len(labels) - positives) * (1 - equal)
    margin = (1 - equal) * mg * scale
    total = 0
    for each in (logits, logits.T):
        exponentials = torch.exp(each + margin - (each + margin).max(1, keepdim=True).values)
        total += (smooth * -torch.log(exponentials / exponentials.sum(1, keepdim=True))).sum(1).mean()
    return total / 2


@pytest.mark.parametrize("eps", [0.0, 0.02])
def test_the_margin_acts_as_in_the_released_code_also_without_smoothing(eps):
    generator = torch.Generator().manual_seed(0)
    images, texts = (F.normalize(torch.randn(8, 6, generator=generator).double(), dim=1) for _ in range(2))
    labels = torch.tensor([0, 0, 1, 2, 2, 3, 4, 5])
    options = {"targets": labels, "logit_scale": torch.tensor(20.0).double(), "label_smoothing": eps}
    found = {margin: float(mpm_nce(images, texts, margin=margin, **options)) for margin in (0.0, 0.1)}
    for margin, value in found.items():
        assert value == pytest.approx(float(_released(images, texts, labels, 20.0, eps, margin)), rel=1e-12)
    assert found[0.0] != found[0.1]
