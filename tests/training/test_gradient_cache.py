"""Gradient caching against one backward pass through the whole batch."""

from dataclasses import replace

import pytest
import torch
from methods.random_start import RandomStart

import radapter
from radapter.adapter import coins, use_coins
from radapter.losses import bound_loss, clip_loss
from radapter.methods import METHODS, LabelledPairs, RAdapterSettings, trained_parameters
from radapter.runs.fine_tuning import train_method
from radapter.training import Tower, backward_in_chunks, make_accelerator
from radapter.training.gradient_cache import backward_of_pairs
from radapter.zeroshot import LinearHead

IMAGES, CAPTIONS = 7, 5
KEYS = {"image": torch.arange(IMAGES) + 100, "text": torch.arange(CAPTIONS) + 300}


@pytest.fixture(scope="module")
def pairs() -> LabelledPairs:
    torch.manual_seed(0)
    encoder = radapter.load("world:tiny")
    tokens = encoder.tokenize(["a star", "a sun", "a heart", "a fish", "a red fish"])
    caption_of_image = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    targets = torch.tensor([0, 1, 2, 3, 3, 0, 1])
    return LabelledPairs(torch.randn(IMAGES, 3, 48, 48).double(), tokens, caption_of_image, targets)


def learner_of(method: str, **settings: object):
    encoder = radapter.load("world:tiny").double()
    row = METHODS[method]
    loss = bound_loss(row.losses[0], margin=None, label_smoothing=None, logit_bias=None)
    torch.manual_seed(1)
    embeddings = torch.nn.functional.normalize(torch.randn(4, encoder.embed_dim).double(), dim=-1)
    head = LinearHead.zero_shot(embeddings, encoder.logit_scale)
    assert row.build is not None
    given = row.settings(RAdapterSettings(**{"drop": 0.5, **settings}))
    if isinstance(given, RAdapterSettings):
        given = RandomStart(**given.model_dump())
    return row.build(encoder, head=head, loss=loss, settings=given).learner.train()


def gradients(learner) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in trained_parameters(learner).items() if p.grad is not None}


def at_once(learner, pairs) -> torch.Tensor:
    with use_coins(learner, coins.HashCoins(3, 2, KEYS)):
        loss = learner(pairs)
    loss.backward()
    return loss.detach()


def cached(learner, pairs, chunk_size) -> torch.Tensor:
    source = coins.HashCoins(3, 2, {})
    return backward_of_pairs(learner, pairs, source, KEYS, make_accelerator("fp32"), chunk_size=chunk_size)


@pytest.mark.parametrize("method", ["r-adapter", "r-adapter+head", "flyp", "full", "l2-sp"])
@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_gradients_are_those_of_the_whole_batch(pairs, method, chunk_size):
    whole, chunked = learner_of(method), learner_of(method)
    assert torch.allclose(at_once(whole, pairs), cached(chunked, pairs, chunk_size), rtol=1e-12)
    expected, found = gradients(whole), gradients(chunked)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        # float64; sums are taken in another order
        assert torch.allclose(found[name], gradient, rtol=1e-6, atol=1e-12), name


def test_any_loss_of_any_two_towers_is_encoded_in_chunks():
    torch.manual_seed(0)
    images, texts = torch.randn(7, 4).double(), torch.randn(7, 5).double()
    towers = torch.nn.Linear(4, 3).double(), torch.nn.Linear(5, 3).double()

    def found(backward) -> list[torch.Tensor]:
        for tower in towers:
            tower.zero_grad()
        return [backward(), *(p.grad.clone() for tower in towers for p in tower.parameters())]

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return clip_loss(x, y, torch.tensor(2.0).double())

    def whole() -> torch.Tensor:
        value = loss(towers[0](images), towers[1](texts))
        value.backward()
        return value.detach()

    pairs = Tower(towers[0], [images]), Tower(towers[1], [texts])
    for one, other in zip(
        found(whole), found(lambda: backward_in_chunks(loss, *pairs, chunk_size=3)), strict=True
    ):
        assert torch.allclose(one, other, rtol=1e-12)


def test_a_text_tower_without_adapters_learns_nothing_and_costs_no_second_pass(pairs):
    learner = learner_of("r-adapter", towers=["image"])
    calls = []
    encode = learner.encoder.encode_text
    learner.encoder.encode_text = lambda tokens: calls.append(len(tokens)) or encode(tokens)
    cached(learner, pairs, 2)
    assert calls == [2, 2, 1]
    assert all("text" not in name for name in gradients(learner))


def test_coins_fall_alike_in_both_passes(pairs):
    learner = learner_of("r-adapter")
    drawn: dict[tuple[str, int], set[bool]] = {}

    class Spy(coins.HashCoins):
        def draw(self, site, tower, samples, keep, device):
            kept = super().draw(site, tower, samples, keep, device)
            for key, coin in zip(self.keys[tower].tolist(), kept.tolist(), strict=True):
                drawn.setdefault((site, key), set()).add(coin)
            return kept

    backward_of_pairs(learner, pairs, Spy(3, 2, {}), KEYS, make_accelerator("fp32"), chunk_size=2)
    assert {coin for coins_of_one in drawn.values() for coin in coins_of_one} == {True, False}
    assert all(len(coins_of_one) == 1 for coins_of_one in drawn.values())


def test_a_training_in_chunks_gives_the_same_weights_in_less_memory(suite, recipe):
    trained = [
        train_method(
            METHODS["r-adapter"],
            radapter.load("world:tiny"),
            suite,
            replace(recipe, epochs=1, chunk_size=chunk_size),
            seed=0,
        )
        for chunk_size in (None, 4)
    ]
    whole, chunked = (dict(one.classifier.named_parameters()) for one in trained)
    for name, parameter in whole.items():
        # float32 over four steps of AdamW, which makes as much of a tiny gradient as of a large one
        assert (chunked[name] - parameter).norm() <= 1e-2 * parameter.norm(), name
    assert trained[1].record.step_bytes < 0.6 * trained[0].record.step_bytes


@pytest.mark.parametrize("method", ["r-adapter", "flyp", "l2-sp", "mask-fill"])
@pytest.mark.parametrize("chunk_size", [None, 4])
def test_checkpointing_changes_memory_and_no_weight(suite, recipe, method, chunk_size):
    plain, checkpointed = (
        train_method(
            METHODS[method],
            radapter.load("world:tiny"),
            suite,
            replace(recipe, epochs=1, chunk_size=chunk_size, gradient_checkpointing=switched),
            seed=0,
        )
        for switched in (False, True)
    )
    expected = dict(plain.classifier.named_parameters())
    for name, parameter in checkpointed.classifier.named_parameters():
        assert torch.equal(parameter, expected[name]), name
    assert checkpointed.record.step_bytes < 0.9 * plain.record.step_bytes
