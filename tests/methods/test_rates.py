"""Default learning rates: those of the sources at CLIP's width, and what another width makes of them."""

import copy

import pytest
import torch
import torch.nn.functional as F
from models.small import OPEN_CLIP

from radapter.losses import bound_loss
from radapter.methods import METHODS, TABLES, MethodSettings, RAdapterSettings
from radapter.methods.learner import LabelledPairs
from radapter.methods.rates import default_rate, head_rate, in_words, multiplier
from radapter.models import load
from radapter.processes import ALONE
from radapter.training import Optimization, make_accelerator
from radapter.training.parallel import parallelize
from radapter.zeroshot import LinearHead

# Published for CLIP ViT-B, whose image tower is 768 wide: of the towers, and of the head where one is trained.
PUBLISHED = [
    ("linear-probe", "classification", 0.1, 0.1),  # LP-FT's probe
    ("full", "classification", 3e-5, 3e-5),  # WiSE-FT's release, one rate for tower and head
    ("wise-ft", "classification", 3e-5, 3e-5),
    ("uniform-soup", "classification", 3e-5, 3e-5),
    ("greedy-soup", "classification", 3e-5, 3e-5),
    ("l2-sp", "classification", 3e-5, 3e-5),
    ("lp-ft", "classification", 3e-5, 3e-5),  # second stage, searched from 1e-5 to 1e-4
    ("mask-fill", "classification", 3e-5, 3e-5),
    ("flyp", "classification", 1e-5, None),
    ("lora", "classification", 2e-4, None),  # CLIP-LoRA
    ("rslora", "classification", 2e-4, None),
    ("r-adapter", "classification", 5e-4, None),
    ("r-adapter+head", "classification", 5e-4, 0.05),  # 5e-4 times CLIP's logit scale of 100
    ("car-ft", "classification", 3e-5, 3e-5),  # WiSE-FT's
    ("lipsum-ft", "classification", 1e-5, 1e-3),  # 1e-5 times CLIP's logit scale of 100
    ("r-adapter:anchored", "classification", 5e-4, None),
    ("clip-adapter", "classification", 2e-3, None),  # CoOp's settings
    ("tip-adapter-f", "classification", 1e-3, None),
    ("coop", "classification", 2e-3, None),
    ("cocoop", "classification", 2e-3, None),
    ("maple", "classification", 3.5e-3, None),
    ("full-both-towers", "retrieval", 1e-5, None),  # both towers and CLIP's loss, as FLYP
    ("wise-ft", "retrieval", 1e-5, None),
    ("uniform-soup", "retrieval", 1e-5, None),
    ("full-image-tower", "segmentation", 3e-5, None),
    ("wise-ft", "segmentation", 3e-5, None),
    ("lora", "segmentation", 2e-4, None),
    ("r-adapter", "segmentation", 5e-4, None),
]


@pytest.mark.parametrize(("name", "task", "towers", "head"), PUBLISHED)
def test_the_default_at_clip_s_width_is_the_published_rate(name, task, towers, head):
    method = TABLES[task][name]
    assert (default_rate(method, 768), head_rate(method, 768, None)) == (towers, head)


def test_every_part_of_r_adapter_has_its_rate():
    parts = [method for method in METHODS.values() if method.part_of == "r-adapter"]
    assert len(parts) == 12
    assert {default_rate(method, 768) for method in parts} == {5e-4}
    assert {method.head_learning_rate for method in parts} == {None}


@pytest.mark.parametrize("task", TABLES)
def test_methods_that_share_a_training_have_one_rate(task):
    table = TABLES[task]
    for method in table.values():
        assert (method.learning_rate, method.head_learning_rate) == (
            table[method.runs].learning_rate,
            table[method.runs].head_learning_rate,
        )


def test_a_head_is_given_a_rate_exactly_where_one_is_trained():
    for table in TABLES.values():
        for method in table.values():
            if method.build is None:
                continue
            encoder = load("world:tiny")
            head = LinearHead(torch.ones(2, encoder.embed_dim))
            loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=None)
            learner, _ = method.build(
                encoder, head=head, loss=loss, settings=method.settings(MethodSettings())
            )
            trains_head = learner.head is not None and learner.head.weight.requires_grad
            assert (method.head_learning_rate is not None) == trains_head, method.name


@pytest.mark.parametrize(("width", "rate"), [(128, 3e-3), (192, 2e-3), (1024, 3.75e-4)])
def test_the_towers_rate_falls_with_the_width_of_the_image_tower(width, rate):
    assert default_rate(METHODS["r-adapter"], width) == pytest.approx(rate)


@pytest.mark.parametrize(("name", "rate"), [("full", 3e-5), ("r-adapter+head", 0.05), ("linear-probe", 0.1)])
def test_a_head_s_default_rate_does_not_depend_on_the_width(name, rate):
    assert head_rate(METHODS[name], 128, None) == head_rate(METHODS[name], 1024, None) == rate


def test_a_rate_of_one_s_own_moves_the_head_s_rate_by_the_same_factor():
    method = METHODS["r-adapter+head"]
    assert multiplier(method, 128, 6e-3) == pytest.approx(2)
    assert head_rate(method, 128, 6e-3) == pytest.approx(0.1)
    assert head_rate(METHODS["linear-probe"], 128, 0.02) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "rate", "words"),
    [
        (
            "r-adapter",
            None,
            "learning rate 0.003: 5e-4 for CLIP ViT-B (R-Adapter's release) x 768 / 128, the image tower's width",
        ),
        (
            "full",
            None,
            "learning rate 0.00018, head 3e-05: 3e-5 for CLIP ViT-B (WiSE-FT's release) x 768 / 128",
        ),
        ("full", 3.6e-4, "learning rate 0.00036, head 6e-05: train.lr. The default is 0.00018: 3e-5 for"),
        (
            "linear-probe",
            None,
            "learning rate 0.1: 0.1 for CLIP ViT-B (LP-FT's probe, with AdamW in place of SGD)",
        ),
    ],
)
def test_the_rate_and_its_source_are_printed_in_one_line(name, rate, words):
    assert in_words(METHODS[name], 128, rate).startswith(words)


@pytest.fixture
def wide(monkeypatch):
    """A CLIP as wide as ViT-B, of three blocks, with random weights."""
    open_clip = pytest.importorskip("open_clip")
    config = {**copy.deepcopy(OPEN_CLIP), "embed_dim": 512}
    config["vision_cfg"].update(width=768, head_width=64, image_size=64, patch_size=16, layers=3)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "wide", config)
    return load("open_clip:wide")


@pytest.mark.parametrize("name", ["full", "flyp", "r-adapter", "r-adapter+head", "lora", "mask-fill"])
def test_one_step_at_the_default_keeps_the_features_of_a_tower_768_wide(name, wide):
    method = METHODS[name]
    torch.manual_seed(0)
    pixels, rows = torch.randn(8, 3, 64, 64), torch.arange(8)
    before = F.normalize(wide.encode_image(pixels), dim=-1).detach()
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=None)
    head = LinearHead.zero_shot(before, wide.logit_scale)
    learner, _ = method.build(
        wide, head=head, loss=loss, settings=method.settings(RAdapterSettings(drop=0.0))
    )
    optimization = Optimization(1, default_rate(method, wide.image_width), method.head_learning_rate or 0.0)
    parallel = parallelize(learner, make_accelerator("fp32"), ALONE, optimization)
    parallel.model(
        LabelledPairs(pixels, torch.randint(3, 20, (8, wide.context_length)), rows, rows)
    ).backward()
    parallel.optimizer.step()
    after = F.normalize(wide.encode_image(pixels), dim=-1).detach()
    assert not torch.equal(before, after)
    assert (before * after).sum(1).min() > 0.98  # R-Adapter at its former default of 1e-2: 0.88
