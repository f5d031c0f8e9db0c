import math

import pytest
import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

import radapter
from radapter.adapter import RAdapterLayer, find_sites
from radapter.errors import ConfigError
from radapter.losses import bound_loss
from radapter.methods import (
    METHODS,
    TABLES,
    HeadLearner,
    LabelledPairs,
    RAdapterSettings,
    count_trained,
    find_method,
    find_methods,
    groups_of,
    trained_parameters,
)
from radapter.methods.lora import lora_targets
from radapter.methods.method import EncodedImages
from radapter.zeroshot import LinearHead

TRAINED = [name for name, method in METHODS.items() if method.build is not None]


def built(name: str, encoder, classes: int = 5):
    torch.manual_seed(0)
    head = LinearHead.zero_shot(
        F.normalize(torch.randn(classes, encoder.embed_dim), dim=-1),
        encoder.logit_scale,
        ("star", "sun", "heart", "drop", "fish")[:classes],
    )
    method = METHODS[name]
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=encoder.logit_bias)
    assert method.build is not None
    settings = method.settings(RAdapterSettings(drop=0.0))
    done = method.build(encoder, head=head, loss=loss, settings=settings)
    if method.start is not None:
        method.start(
            done.learner.head, EncodedImages(torch.randn(1, 6, encoder.embed_dim), torch.arange(6) % 5)
        )
    return done


def pairs(encoder) -> LabelledPairs:
    torch.manual_seed(1)
    pixels = torch.randn(4, 3, encoder.image_size, encoder.image_size)
    tokens = encoder.tokenize(["a star", "a sun"])
    return LabelledPairs(pixels, tokens, torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 1, 0]))


def tower_names(encoder) -> tuple[set[str], set[str]]:
    names = {p: n for n, p in encoder.named_parameters()}

    def of(parts) -> set[str]:
        found = (part.parameters() if isinstance(part, nn.Module) else [part] for part in parts)
        return {names[p] for parameters in found for p in parameters}

    return of(encoder.image_tower()), of(encoder.text_tower())


def test_names_are_those_of_the_documentation():
    assert groups_of("classification")["foundation"] == (
        "zero-shot",
        "full",
        "flyp",
        "lora",
        "wise-ft",
        "r-adapter",
        "r-adapter+head",
    )
    groups = [group for task in TABLES for group in groups_of(task).values()]
    assert {name for group in groups for name in group} == {name for t in TABLES.values() for name in t}


@pytest.mark.parametrize("name", TRAINED)
def test_a_method_says_whether_it_trains_a_head(encoder, name):
    head = built(name, encoder).learner.head
    assert METHODS[name].trains_head == (head is not None and head.weight.requires_grad)


def test_an_unknown_method_proposes_the_nearest():
    with pytest.raises(ConfigError, match=r"r-adaptor.*r-adapter"):
        find_method("r-adaptor")


@pytest.mark.parametrize(
    ("task", "new"), [("retrieval", "full-both-towers"), ("segmentation", "full-image-tower")]
)
@pytest.mark.parametrize(
    "find", [lambda task: find_method("full", task), lambda task: find_methods(["full"], task)]
)
def test_the_old_name_of_a_method_names_the_new_one(find, task, new):
    with pytest.raises(ConfigError, match=f"Got 'full'. In {task}, 'full' is now '{new}'."):
        find(task)


def test_towers_share_no_parameter_and_leave_only_the_temperature(encoder):
    image, text = tower_names(encoder)
    assert not image & text
    rest = {n for n, _ in encoder.named_parameters()} - image - text
    assert all(encoder.get_parameter(n).ndim == 0 for n in rest)


def test_full_trains_the_image_tower_and_the_head(encoder):
    image, _ = tower_names(encoder)
    learner = built("full", encoder).learner
    assert set(trained_parameters(learner)) == {f"encoder.{name}" for name in image} | {
        "head.weight",
        "head.bias",
    }


def test_flyp_trains_both_towers_but_not_the_temperature(encoder):
    image, text = tower_names(encoder)
    learner = built("flyp", encoder).learner
    assert set(trained_parameters(learner)) == {f"encoder.{name}" for name in image | text}


def test_r_adapter_trains_one_matrix_and_one_scale_a_site(encoder):
    sites = find_sites(encoder.module)
    learner = built("r-adapter", encoder).learner
    assert count_trained(learner) == sum(site.width**2 + 1 for site in sites)


def test_r_adapter_with_head_leaves_the_text_tower_alone(encoder):
    sites = find_sites(encoder.module, towers=("image",))
    learner = built("r-adapter+head", encoder).learner
    assert count_trained(learner) == sum(site.width**2 + 1 for site in sites) + 5 * (encoder.embed_dim + 1)
    assert sum(isinstance(m, RAdapterLayer) for m in learner.modules()) == len(sites)


@pytest.mark.parametrize("name", [name for name in TRAINED if METHODS[name].is_optimized])
def test_every_trained_parameter_gets_a_gradient(encoder, name: str):
    learner = built(name, encoder).learner
    for module in learner.modules():  # the factors that start at zero hide the others' gradients
        if isinstance(module, BaseTunerLayer):
            for parameter in module.parameters():
                if parameter.requires_grad and not parameter.any():
                    nn.init.normal_(parameter, std=0.1)
    learner.train()
    learner(pairs(encoder)).backward()
    silent = {
        n for n, p in trained_parameters(learner).items() if p.grad is None or not p.grad.abs().sum() > 0
    }
    # an attention is blind to a constant added to all of its keys; unread rows of an embedding table get none
    assert {n for n in silent if "k_proj.bias" not in n} == set()


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_starts_as_the_zero_shot_model(name: str):
    encoder = radapter.load("world:tiny").eval()
    batch = pairs(encoder)
    with torch.no_grad():
        before = encoder(batch.pixels, batch.tokens)
        learner = built(name, encoder).learner.eval()
        after = learner.encoder(batch.pixels, batch.tokens)
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_the_head_learner_is_cross_entropy_of_a_linear_layer_with_bias(encoder):
    learner = built("full", encoder).learner.eval()
    assert isinstance(learner, HeadLearner)
    batch = pairs(encoder)
    features = F.normalize(encoder.encode_image(batch.pixels), dim=-1)
    with torch.no_grad():
        learner.head.bias.copy_(torch.randn(5))
    expected = F.cross_entropy(F.linear(features, learner.head.weight, learner.head.bias), batch.targets)
    assert torch.allclose(learner(batch), expected, atol=1e-6)


def test_lora_reaches_attention_whole_where_its_projections_are_never_called():
    open_clip = pytest.importorskip("open_clip")
    model = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 16, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
        text_cfg={"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 2},
    )
    targets = lora_targets(model)
    kinds = {name.rsplit(".", 1)[-1] for name in targets}
    assert kinds == {"attn", "c_fc", "c_proj"}
    assert len(targets) == 3 * 4


def test_a_setting_that_a_loss_lacks_is_refused():
    with pytest.raises(ConfigError, match="margin"):
        bound_loss("clip", margin=0.1, label_smoothing=None, logit_bias=None)
    with pytest.raises(ConfigError, match="label_smoothing"):
        bound_loss("siglip", margin=None, label_smoothing=0.1, logit_bias=torch.zeros(()))
    with pytest.raises(ConfigError, match="logit bias"):
        bound_loss("siglip", margin=None, label_smoothing=None, logit_bias=None)


def test_settings_left_out_are_the_papers():
    torch.manual_seed(0)
    image, text = F.normalize(torch.randn(2, 6, 8), dim=-1)
    targets, scale = torch.tensor([0, 0, 1, 2, 2, 3]), torch.tensor(50.0)
    default = bound_loss("mpm-nce", margin=None, label_smoothing=None, logit_bias=None)
    paper = radapter.mpm_nce(image, text, targets, scale, margin=0.05, label_smoothing=0.02)
    assert math.isclose(default(image, text, targets, scale).item(), paper.item())


@pytest.mark.parametrize(("rows", "tiled"), [(64, False), (2048, True)])
def test_a_large_batch_is_summed_in_tiles_to_the_same_loss(rows, tiled):
    torch.manual_seed(0)
    images, texts = (F.normalize(torch.randn(rows, 4), dim=-1).requires_grad_() for _ in range(2))
    targets, scale = torch.arange(rows) // 2, torch.tensor(20.0)
    loss = bound_loss("mpm-nce", margin=0.1, label_smoothing=0.02, logit_bias=None)(
        images, texts, targets, scale
    )
    dense = radapter.mpm_nce(images, texts, targets, scale, margin=0.1, label_smoothing=0.02)
    assert loss.item() == pytest.approx(dense.item(), rel=1e-5)
    assert ("Tiled" in loss.grad_fn.name()) == tiled


@pytest.mark.parametrize("task", TABLES)
def test_what_stands_on_full_fine_tuning_trains_what_it_trains(task):
    runs = TABLES[task]["wise-ft"].runs
    full = TABLES[task][runs]
    standing = [method for method in TABLES[task].values() if method.runs == runs]
    assert len(standing) == 6
    for method in standing:
        assert (method.build, method.losses, method.towers) == (full.build, full.losses, full.towers)
        assert runs in method.summary or method is full
