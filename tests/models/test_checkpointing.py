"""Gradient checkpointing by the libraries' own switches: the same gradients, and an error where there is none."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.checkpoint import CheckpointError

import radapter
from radapter.adapter import RAdapterConfig, coins, use_coins
from radapter.errors import ModelError
from radapter.methods.lora import lora_targets
from radapter.training import step_bytes

RESNET = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 24, "heads": 3, "layers": 2},
}
BATCH = 5
KEYS = {"image": torch.arange(BATCH) + 10, "text": torch.arange(BATCH) + 40}


@pytest.fixture(params=["clip", "siglip", "siglip2", "open_clip", "open_clip, timm tower"])
def encoder(request, monkeypatch):
    """A small encoder of each library and kind, in float64."""
    if "open_clip" not in request.param:
        return radapter.load(str(request.getfixturevalue(request.param)), dtype=torch.float64)
    import open_clip
    from models.small import OPEN_CLIP

    config = copy.deepcopy(OPEN_CLIP)
    if "timm" in request.param:
        config["vision_cfg"] = {
            "image_size": 32,
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
        }
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", config)
    return radapter.load("open_clip:small", dtype=torch.float64)


def adapted(encoder, kind="r-adapter"):
    encoder.requires_grad_(False)
    torch.manual_seed(1)
    if kind == "r-adapter":
        get_peft_model(encoder.module, RAdapterConfig(init_weights=False, adapter_drop=0.5))
    else:
        targets = lora_targets(encoder.module)
        get_peft_model(encoder.module, LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    return encoder.double().train()


def loss_of(encoder):
    torch.manual_seed(2)
    size = encoder.image_size
    images, texts = encoder(
        torch.randn(BATCH, 3, size, size).double(), torch.randint(3, 20, (BATCH, encoder.context_length))
    )
    return (images @ texts.T * torch.arange(BATCH * BATCH).reshape(BATCH, BATCH)).sum()


def gradients(encoder, source=None):
    encoder.zero_grad()
    with use_coins(encoder, source or coins.HashCoins(3, 2, KEYS)):
        loss_of(encoder).backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["r-adapter", "lora"])
def test_gradients_are_those_of_the_step_without(encoder, kind):
    encoder = adapted(encoder, kind)
    plain = gradients(encoder)
    with encoder.checkpointing():
        checkpointed = gradients(encoder)
    assert plain.keys() == checkpointed.keys()
    assert len(plain) > 4
    # the same operations on the same numbers
    assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)


def test_less_is_kept_for_the_backward_pass_and_all_of_it_again_afterwards(encoder):
    encoder = adapted(encoder)

    def kept():
        with use_coins(encoder, coins.HashCoins(3, 2, KEYS)):
            return step_bytes(encoder, lambda: loss_of(encoder))

    before = kept()
    with encoder.checkpointing():
        assert kept() < 0.6 * before
    assert kept() == before


def test_an_adapter_drops_the_same_samples_when_its_block_is_run_again(encoder):
    drawn: dict[str, list[list[bool]]] = {}

    class Spy(coins.HashCoins):
        def draw(self, site, tower, samples, keep, device):
            kept = super().draw(site, tower, samples, keep, device)
            drawn.setdefault(site, []).append(kept.tolist())
            return kept

    encoder = adapted(encoder)
    with encoder.checkpointing():
        gradients(encoder, Spy(3, 2, KEYS))
    assert all(len(of_site) == 2 and of_site[0] == of_site[1] for of_site in drawn.values())
    assert {coin for of_site in drawn.values() for coin in of_site[0]} == {True, False}


def test_a_backward_pass_outside_the_coins_drops_others_and_is_noticed(encoder):
    encoder = adapted(encoder)
    with encoder.checkpointing():
        with use_coins(encoder, coins.HashCoins(3, 2, KEYS)):
            loss = loss_of(encoder)
        with pytest.raises(CheckpointError):
            loss.backward()


def test_timm_vits_have_the_switch():
    encoder = radapter.load("timm:test_vit", dtype=torch.float64)
    size = encoder.image_size
    pixels = torch.randn(2, 3, size, size).double()

    def kept():
        return step_bytes(encoder, lambda: encoder.encode_image(pixels).sum())

    before = kept()
    with encoder.checkpointing():
        assert kept() < before


@pytest.fixture
def resnet(monkeypatch):
    """A CLIP whose image tower is a residual network, which open_clip cannot checkpoint."""
    import open_clip

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-RN", copy.deepcopy(RESNET))
    return radapter.load("open_clip:tiny-RN")


def test_a_tower_without_a_switch_is_named(resnet):
    said = "The image tower of 'open_clip:tiny-RN', ModifiedResNet, has none"
    with pytest.raises(ModelError, match=said), resnet.checkpointing():
        pass
    assert not resnet.module.transformer.grad_checkpointing


def test_a_tower_that_is_not_trained_needs_no_switch(resnet):
    with resnet.checkpointing(("text",)):
        assert resnet.module.transformer.grad_checkpointing
