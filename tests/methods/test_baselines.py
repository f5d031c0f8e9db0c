"""What each baseline is exactly: a closed form or a literal reference for its loss."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import nn

from radapter.adapter import RAdapterLayer
from radapter.losses import bound_loss, mpm_nce
from radapter.methods import (
    METHODS,
    SEGMENTATION,
    ContrastiveLearner,
    LabelledPairs,
    RAdapterSettings,
    l2_sp,
    trained_parameters,
)
from radapter.methods.l2_sp import StartingPoint
from radapter.methods.mask_fill import (
    MASKED_SHARE,
    WEIGHT,
    CounterfactualDistillation,
    filled,
    patches_a_side,
)
from radapter.zeroshot import LinearHead


def built(name: str, encoder, classes: int = 5):
    torch.manual_seed(0)
    head = LinearHead.zero_shot(
        F.normalize(torch.randn(classes, encoder.embed_dim), dim=-1), encoder.logit_scale
    )
    method = METHODS[name]
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=encoder.logit_bias)
    settings = method.settings(RAdapterSettings(drop=0.0))
    return method.build(encoder, head=head, loss=loss, settings=settings).learner


def batch(encoder, images: int = 4) -> LabelledPairs:
    torch.manual_seed(1)
    pixels = torch.randn(images, 3, encoder.image_size, encoder.image_size)
    targets = torch.arange(images) % 2
    return LabelledPairs(pixels, encoder.tokenize(["a star", "a sun"]), targets, targets)


def test_linear_probe_trains_the_head_alone_and_its_gradient_is_that_of_softmax_regression(encoder):
    learner = built("linear-probe", encoder)
    assert set(trained_parameters(learner)) == {"head.weight", "head.bias"}
    pairs = batch(encoder)
    learner.train()
    learner(pairs).backward()
    with torch.no_grad():
        features = F.normalize(encoder.encode_image(pairs.pixels), dim=-1)
        error = (features @ learner.head.weight.T).softmax(1) - F.one_hot(pairs.targets, 5)
    assert torch.allclose(learner.head.weight.grad, error.T @ features / len(features), atol=1e-6)
    assert torch.allclose(learner.head.bias.grad, error.mean(0), atol=1e-6)


def test_l2_sp_is_half_alpha_times_the_squared_distance_of_the_matrices_and_pulls_them_back(encoder):
    learner = built("l2-sp", encoder)
    start = {name: p.detach().clone() for name, p in trained_parameters(learner).items()}
    assert learner.regulariser(learner, batch(encoder)).item() == 0.0
    with torch.no_grad():
        for parameter in trained_parameters(learner).values():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    term = learner.regulariser(learner, batch(encoder))
    trained = trained_parameters(learner)
    moved = {name: p.detach() - start[name] for name, p in trained.items() if p.ndim > 1}
    squares = sum(float(distance.square().sum()) for distance in moved.values())
    assert term.item() == pytest.approx(0.5 * l2_sp.WEIGHT * squares, rel=1e-4)
    gradients = torch.autograd.grad(term, [trained[name] for name in moved])
    for gradient, distance in zip(gradients, moved.values(), strict=True):
        assert torch.allclose(gradient, l2_sp.WEIGHT * distance, atol=1e-8)


def test_l2_sp_leaves_biases_and_norms_free(encoder):
    learner = built("l2-sp", encoder)
    with torch.no_grad():
        for parameter in trained_parameters(learner).values():
            if parameter.ndim < 2:
                parameter.add_(1.0)
    assert learner.regulariser(learner, batch(encoder)).item() == 0.0


def test_l2_sp_adds_to_the_loss_of_full(encoder):
    learner, pairs = built("l2-sp", encoder), batch(encoder)
    with torch.no_grad():
        learner.head.weight.add_(1.0)
    plain = learner.loss(
        F.normalize(encoder.encode_image(pairs.pixels), dim=-1),
        learner.head,
        pairs.targets,
        encoder.logit_scale,
    )
    penalty = l2_sp.WEIGHT / 2 * learner.head.weight.numel()
    assert learner(pairs).item() == pytest.approx(plain.item() + penalty, rel=1e-4)
    assert isinstance(learner.regulariser, StartingPoint)


def test_flyp_is_clips_cross_entropy_in_both_directions_and_same_class_images_are_negatives(encoder):
    learner, pairs = built("flyp", encoder), batch(encoder)
    assert len(set(pairs.targets.tolist())) < len(pairs.targets)  # classes repeat
    images = F.normalize(encoder.encode_image(pairs.pixels), dim=-1)
    texts = F.normalize(encoder.encode_text(pairs.tokens), dim=-1)[pairs.caption_of_image]
    logits = encoder.logit_scale * images @ texts.T
    own = torch.arange(4)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    assert learner(pairs).item() == pytest.approx(expected.item(), rel=1e-5)
    trained = trained_parameters(learner)
    assert any("text_model" in name for name in trained)
    assert any("vision_model" in name for name in trained)


def test_masked_patches_are_those_of_the_other_image_by_hand():
    pixels = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4)
    masked = torch.tensor([[[True, False], [False, False]], [[False, False], [False, True]]])
    mixed = filled(pixels, masked, pixels[[1, 0]])
    assert torch.equal(mixed[0, :, :2, :2], pixels[1, :, :2, :2])
    assert torch.equal(mixed[0, :, 2:], pixels[0, :, 2:])
    assert torch.equal(mixed[1, :, 2:, 2:], pixels[0, :, 2:, 2:])
    assert torch.equal(mixed[1, :, :2], pixels[1, :, :2])


def test_mask_fill_is_the_squared_distance_to_the_frozen_features_of_the_same_counterfactuals(encoder):
    learner, pairs = built("mask-fill", encoder), batch(encoder)
    distillation = learner.regulariser
    assert isinstance(distillation, CounterfactualDistillation)
    torch.manual_seed(5)
    assert distillation(learner, pairs).item() == 0.0  # the student is the teacher yet
    teacher_before = [p.clone() for p in distillation.teacher.parameters()]
    with torch.no_grad():
        for name, parameter in trained_parameters(learner).items():
            if name != "head":
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
    torch.manual_seed(5)
    found = distillation(learner, pairs)
    torch.manual_seed(5)
    masked = torch.rand(4, 6, 6) < MASKED_SHARE
    source = (torch.arange(4) + torch.randint(1, 4, (4,))) % 4
    mixed = filled(pairs.pixels, masked, pairs.pixels[source])
    with torch.no_grad():
        kept = F.normalize(encoder.encode_image(mixed), dim=-1)
        wanted = F.normalize(distillation.teacher.encode_image(mixed), dim=-1)
    expected = sum(float((k - w).square().sum()) for k, w in zip(kept, wanted, strict=True)) / 4
    assert found.item() == pytest.approx(WEIGHT * expected, rel=1e-4)
    found.backward()
    assert all(p.grad is None for p in distillation.teacher.parameters())
    assert all(
        torch.equal(a, b) for a, b in zip(teacher_before, distillation.teacher.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("tower", "side"),
    [
        (nn.Conv2d(3, 8, 16, stride=16), 3),
        (nn.Sequential(nn.Linear(4, 4), nn.Conv2d(3, 8, 8, stride=8)), 6),
        (nn.Conv2d(3, 8, 7, stride=2), 7),  # a ResNet's first layer makes no patches
        (nn.Conv2d(64, 8, 2, stride=2), 7),
    ],
)
def test_mask_fill_masks_the_towers_own_patches(tower, side):
    encoder = SimpleNamespace(image_tower=lambda: (nn.Parameter(torch.zeros(2)), tower), image_size=48)
    assert patches_a_side(encoder) == side


def test_mask_fill_of_one_image_has_nothing_to_fill_from(encoder):
    learner = built("mask-fill", encoder)
    assert learner.regulariser(learner, batch(encoder, images=1)).item() == 0.0


def test_the_teacher_of_mask_fill_stays_in_evaluation_mode(encoder):
    learner = built("mask-fill", encoder).train()
    assert not any(module.training for module in learner.regulariser.teacher.modules())


@pytest.mark.parametrize(("name", "scale"), [("lora", 1.0), ("rslora", math.sqrt(8))])
def test_the_scale_of_low_rank_updates(encoder, name, scale):
    learner = built(name, encoder)
    scales = {m.scaling["default"] for m in learner.modules() if isinstance(m, LoraLayer)}
    assert sorted(scales) == pytest.approx([scale])


def test_a_single_positive_keeps_the_margin_and_counts_the_class_mates_as_negatives():
    torch.manual_seed(0)
    x, y = (F.normalize(torch.randn(4, 8), dim=-1) for _ in range(2))
    targets, scale = torch.tensor([0, 0, 1, 1]), torch.tensor(10.0)
    loss = bound_loss("single-positive", margin=0.1, label_smoothing=0.02, logit_bias=None)
    expected = mpm_nce(x, y, torch.arange(4), scale, margin=0.1, label_smoothing=0.02)
    assert torch.equal(loss(x, y, targets, scale), expected)
    assert not torch.equal(expected, mpm_nce(x, y, targets, scale, margin=0.1, label_smoothing=0.02))


def test_r_adapter_by_cross_entropy_keeps_the_zero_shot_head(encoder):
    learner = built("r-adapter:cross-entropy", encoder)
    assert "head" not in trained_parameters(learner)
    adapted = [name for name, module in learner.named_modules() if isinstance(module, RAdapterLayer)]
    assert adapted
    assert all("vision_model" in name for name in adapted)


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        ("no-drop", {"drop": 0.0}),
        ("dropout", {"drop_kind": "dropout"}),
        ("drop-path", {"drop_kind": "drop-path"}),
        ("r-4", {"r": 4}),
        ("r-16", {"r": 16}),
        ("image-tower", {"towers": ["image"]}),
    ],
)
def test_a_part_of_the_adapter_changes_alone(part, setting):
    assert dict(METHODS[f"r-adapter:{part}"].fixed) == setting
    assert not METHODS[f"r-adapter:{part}"].fixed_recipe


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        ("no-ema", {"ema_decay": 0.0}),
        ("margin-0", {"margin": 0.0}),
        ("single-positive", {"loss": "single-positive"}),
        ("smoothing-0", {"label_smoothing": 0.0}),
    ],
)
def test_a_part_of_the_recipe_changes_alone(part, setting):
    assert dict(METHODS[f"r-adapter:{part}"].fixed_recipe) == setting
    assert not METHODS[f"r-adapter:{part}"].fixed


def test_the_part_image_tower_freezes_the_text_tower_and_keeps_the_loss(encoder):
    learner = built("r-adapter:image-tower", encoder)
    assert isinstance(learner, ContrastiveLearner)
    assert all("vision_model" in name for name in trained_parameters(learner))
    assert METHODS["r-adapter:image-tower"].losses == METHODS["r-adapter"].losses
    assert "r-adapter:image-tower" not in SEGMENTATION  # every method there has a frozen text tower
