"""A tower with BatchNorm and Dropout: what is measured is what is saved, and alpha 0 is the base model."""

from dataclasses import replace

import pytest
import torch
from peft import get_peft_model
from torch import nn

import radapter
from radapter.adapter import hold_statistics
from radapter.data import open_classification
from radapter.errors import ModelError
from radapter.losses import bound_loss
from radapter.methods import METHODS, RETRIEVAL, SEGMENTATION, MethodSettings
from radapter.runs.fine_tuning import train_method
from radapter.runs.weights import load_trained, save_trained
from radapter.tasks.classification import ClassificationSuite
from radapter.zeroshot import LinearHead

open_clip = pytest.importorskip("open_clip")
timm = pytest.importorskip("timm")

# MaPLe adds tokens to CLIP's own ViT alone
TRAINED = [name for name, method in METHODS.items() if method.build is not None and name != "maple"]


def tiny_hybrid_vit(pretrained=False, **settings):
    """MobileCLIP2-B's image tower with one narrow block: a stem with BatchNorm in front of a ViT."""
    from timm.models import vision_transformer_hybrid as hybrid

    stem = hybrid.ConvStem(channels=(8, 8, 32), stride=(4, 2, 2), kernel_size=(4, 2, 2), padding=0)
    size = {"img_size": 48, "embed_dim": 32, "depth": 1, "num_heads": 2, "no_embed_class": True}
    dropped = {"proj_drop_rate": 0.3, "drop_path_rate": 0.3}
    return hybrid._create_vision_transformer_hybrid(
        "vit_base_mci_224", backbone=stem, embed_args={"proj": False}, **size, **dropped, **settings
    )


def with_statistics(encoder):
    """Gives BatchNorm statistics that differ from 0 and 1, and open_clip's attentions a dropout."""
    generator = torch.Generator().manual_seed(1)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.3
    return encoder


CONFIG = {
    "embed_dim": 20,
    "custom_text": True,
    "vision_cfg": {
        "timm_model_name": "tiny_hybrid_vit",
        "timm_pool": "token",
        "timm_proj": None,
        "image_size": 48,
    },
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 24, "heads": 3, "layers": 1},
}


@pytest.fixture
def base(monkeypatch):
    """Loads the base model, the same weights and statistics each time."""
    from timm.models import _registry

    monkeypatch.setitem(_registry._model_entrypoints, "tiny_hybrid_vit", tiny_hybrid_vit)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-hybrid", CONFIG)
    return lambda: with_statistics(radapter.load("open_clip:tiny-hybrid"))


@pytest.fixture(scope="module")
def small():
    """24 images and three templates: two steps an epoch."""

    def split(name: str):
        return open_classification({"world": name, "size": 24, "seed": 3})

    train = split("train")
    return ClassificationSuite(
        train=train,
        id_val=split("id_val"),
        id_test={},
        ood={},
        classnames=train.classnames,
        templates=("a photo of a {}.", "a {}."),
    )


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def without_adapter(name: str) -> str:
    return name.replace(".base_layer", "")


def differing(found, expected) -> list[str]:
    """Names of the tensors of `expected` that `found` lacks or has otherwise."""
    plain = {without_adapter(name): tensor for name, tensor in found.items()}
    return [name for name, tensor in expected.items() if not torch.equal(plain[name], tensor)]


@pytest.mark.parametrize("name", TRAINED)
def test_alpha_0_is_the_base_model_bitwise_and_a_reloaded_run_is_the_measured_one(
    name, base, small, recipe, tmp_path
):
    original = state(base())
    trained = train_method(
        METHODS[name], base(), small, replace(recipe, batch_size=12, learning_rate=1e-3), seed=0
    )
    pixels = torch.randn(2, 3, 48, 48)
    measured = trained.classifier.encoder.encode_image(pixels).detach()
    save_trained(tmp_path, trained, alpha=1.0, about={})
    with trained.interpolation() as line, line.at(0.0):
        assert differing(state(trained.classifier.encoder), original) == []
    again = load_trained(tmp_path, base())
    assert torch.equal(again.classifier.encoder.encode_image(pixels), measured)


def training(parts) -> set[str]:
    """The types of the layers in training mode, modules without an effect of the mode left out."""
    acting = (nn.Dropout, nn.BatchNorm2d, nn.MultiheadAttention)
    modules = [m for part in parts if isinstance(part, nn.Module) for m in part.modules()]
    return {type(m).__name__ for m in modules if isinstance(m, acting) and m.training}


def learner_of(name: str, encoder, task=METHODS):
    head = LinearHead(torch.randn(3, encoder.embed_dim))
    method = task[name]
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=None)
    settings = method.settings(MethodSettings())
    return method.build(encoder, head=head, loss=loss, settings=settings).learner.train()


def test_a_frozen_tower_trains_in_evaluation_mode_and_a_trained_one_keeps_its_dropout(base):
    for name, task, image, text in (
        ("linear-probe", METHODS, set(), set()),
        ("full", METHODS, {"Dropout"}, set()),
        ("flyp", METHODS, {"Dropout"}, {"MultiheadAttention"}),
        ("r-adapter", METHODS, {"Dropout"}, {"MultiheadAttention"}),
        ("r-adapter+head", METHODS, {"Dropout"}, set()),
        ("full-both-towers", RETRIEVAL, {"Dropout"}, {"MultiheadAttention"}),
        ("full-image-tower", SEGMENTATION, {"Dropout"}, set()),
    ):
        encoder = base()
        learner_of(name, encoder, task)
        assert (training(encoder.image_tower()), training(encoder.text_tower())) == (image, text), name


@pytest.mark.parametrize("start", [lambda model: model, lambda model: model.train()], ids=["fresh", "train"])
def test_a_resnet_whose_text_tower_alone_is_adapted_keeps_its_statistics(start):
    config = {"embed_dim": 20, "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32}}
    text = {"context_length": 12, "vocab_size": 99, "width": 24, "heads": 3, "layers": 1}
    model = open_clip.CLIP(**config, text_cfg=text)
    before = state(model.visual)
    wrapped = start(get_peft_model(model, radapter.RAdapterConfig(towers=("text",))))
    model.encode_image(torch.randn(4, 3, 32, 32))
    assert wrapped.training
    assert differing(state(model.visual), before) == []


def test_batchnorm_that_peft_saves_whole_still_learns_its_statistics():
    layers = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    config = radapter.RAdapterConfig(target_modules=["0", "2"], modules_to_save=["3"])
    get_peft_model(layers, config).train()
    layers(torch.randn(8, 4))
    assert layers[1].num_batches_tracked == 0
    assert layers[3].modules_to_save["default"].num_batches_tracked == 1


def test_layers_of_other_libraries_with_running_statistics_are_held():
    layers = nn.ModuleList(
        [timm.layers.EvoNorm2dB0(4), timm.layers.BatchNormAct2d(4), nn.InstanceNorm2d(4), nn.Dropout()]
    )
    layers.append(nn.InstanceNorm2d(4, track_running_stats=True))
    hold_statistics(layers.train())
    assert [layer.training for layer in layers] == [False, False, True, True, False]


def test_chunks_give_the_step_of_the_whole_batch_on_a_tower_with_batchnorm(base, small, recipe):
    def after(chunk_size):
        encoder = base()
        for module in encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if hasattr(module, "drop_prob"):
                module.drop_prob = 0.0
        settings = replace(recipe, batch_size=12, epochs=1, chunk_size=chunk_size)
        return state(train_method(METHODS["full"], encoder, small, settings, seed=0).classifier)

    whole, chunked = after(None), after(5)
    moved = max((whole[name] - tensor).abs().max() for name, tensor in chunked.items() if tensor.ndim)
    assert moved < 1e-4  # AdamW divides by small gradients; steps are 3e-3


class Counting(nn.Module):
    """A layer with a buffer that every forward pass changes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += self.training
        return x


def test_a_buffer_that_training_changes_is_refused_before_the_first_step(base, small, recipe):
    encoder = base()
    encoder.module.visual.trunk.norm_pre = Counting()
    with pytest.raises(ModelError, match=r"visual\.trunk\.norm_pre\.calls.* changed in a forward pass"):
        train_method(METHODS["full"], encoder, small, replace(recipe, batch_size=12), seed=0)


def test_measuring_low_rank_updates_leaves_every_weight_bitwise(base, small, recipe):
    trained = train_method(METHODS["lora"], base(), small, replace(recipe, batch_size=12), seed=0)
    before = state(trained.classifier)
    with trained.interpolation() as line, line.at(0.5):
        pass
    after = trained.classifier.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
