"""A text tower that is not trained reads each caption once a run, and the run is the same."""

import logging
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from runs.running import StopAfter

import radapter
from radapter.data import Memory, open_pairs
from radapter.data.memory import Lease
from radapter.evaluation.features import KeptTexts
from radapter.losses import bound_loss
from radapter.methods import METHODS, RETRIEVAL, RAdapterSettings
from radapter.runs.fine_tuning import train_method
from radapter.tasks.retrieval import RetrievalSuite
from radapter.training import Checkpoints, Environment, Interrupted, StopSignal, StreamCaptions
from radapter.training.captions import frozen_text_features
from radapter.zeroshot import LinearHead

CPU = SimpleNamespace(device=torch.device("cpu"), autocast=nullcontext)
IMAGE_TOWER = RAdapterSettings(towers=["image"])


@pytest.fixture(scope="module")
def pairs():
    return open_pairs({"world": "scenes", "size": 20})


@pytest.fixture(scope="module")
def pair_suite(pairs):
    return RetrievalSuite(train=pairs, id_val=None, id_test={"same": pairs}, ood={}, per_group=2)


def trained(suite, recipe, *, settings=IMAGE_TOWER, table=RETRIEVAL, memory=None, stop=None, **options):
    """The weights, and how many captions the text tower read."""
    encoder = radapter.load("world:tiny", dtype=torch.float64)
    read = []
    encode = encoder.encode_text
    encoder.encode_text = lambda tokens: read.append(len(tokens)) or encode(tokens)
    found = train_method(
        table["r-adapter"],
        encoder,
        replace(suite, texts=KeptTexts()),
        replace(recipe, settings=settings, epochs=4),
        seed=2,
        environment=Environment(memory=memory, stop=stop or StopSignal(), report=stop or (lambda _: None)),
        **options,
    )
    weights = {name: p.detach().clone() for name, p in found.classifier.named_parameters()}
    return weights, sum(read)


@pytest.fixture(scope="module")
def usual(pair_suite, recipe):
    """A training with a frozen text tower and memory for its features."""
    return trained(pair_suite, recipe)


def close(first, second, tolerance):
    return all((first[name] - second[name]).abs().max() <= tolerance for name in first)


@pytest.mark.parametrize("chunk_size", [None, 5])
def test_each_caption_of_a_frozen_text_tower_is_encoded_once(pairs, pair_suite, recipe, usual, chunk_size):
    recipe = replace(recipe, chunk_size=chunk_size)
    kept, read = trained(pair_suite, recipe) if chunk_size else usual
    assert read == len(set(pairs.captions))
    asked, read_without = trained(pair_suite, recipe, memory=Memory(0))
    assert read_without > 1.5 * read
    # float64; captions stand in other batches, so that sums are taken in another order
    assert close(kept, asked, 1e-9)


def test_prompts_of_classes_are_encoded_once(suite, recipe):
    prompts = len(suite.classnames) * len(suite.templates)
    kept, read = trained(suite, recipe, table=METHODS)
    assert read == 2 * prompts  # for the head, and for the captions
    asked, read_without = trained(suite, recipe, table=METHODS, memory=Memory(0))
    assert read_without > 2.5 * prompts
    assert close(kept, asked, 1e-9)


def test_a_text_tower_that_is_trained_is_asked_in_every_step(pair_suite, recipe, usual):
    _, read = trained(pair_suite, recipe, settings=RAdapterSettings())
    _, once = usual
    assert read > 1.5 * once


def test_memory_is_given_back_when_training_ends(pair_suite, recipe):
    memory = Memory(64)
    trained(pair_suite, recipe, memory=memory)
    assert memory.take(64 * 2**20)


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(pair_suite, recipe, usual, tmp_path):
    whole, _ = usual
    stop = StopAfter(3)
    with pytest.raises(Interrupted):
        trained(pair_suite, recipe, checkpoints=Checkpoints(tmp_path), stop=stop)
    continued, _ = trained(pair_suite, recipe, checkpoints=Checkpoints(tmp_path), resume=True)
    assert all(torch.equal(whole[name], continued[name]) for name in whole)


# --- what is kept -------------------------------------------------------------------------------------------------


def learner_of(method, table=METHODS, **given):
    encoder = radapter.load("world:tiny")
    row = table[method]
    loss = bound_loss(row.losses[0], margin=None, label_smoothing=None, logit_bias=None)
    head = LinearHead(torch.zeros(4, encoder.embed_dim))
    settings = row.settings(row.settings_type(**given))
    return row.build(encoder, head=head, loss=loss, settings=settings).learner


def kept_of(learner, suite, memory, recipe):
    _, captions = suite.training(learner.encoder, recipe, seed=0, memory=None)
    return features(learner, captions, memory)


def features(learner, captions, memory):
    return frozen_text_features(learner, captions, Lease(memory), CPU, batch_size=16)


def test_features_are_of_unit_norm_by_the_id_of_the_caption(suite, recipe):
    learner = learner_of("r-adapter", towers=["image"])
    found = kept_of(learner, suite, Memory(), recipe)
    _, captions = suite.training(learner.encoder, recipe, seed=0, memory=None)
    with torch.no_grad():
        expected = learner.encoder.eval().encode_text(captions.tokens[37:38])
    assert torch.allclose(found[37], expected[0] / expected[0].norm(), atol=1e-6)
    assert len(found) == len(suite.classnames) * len(suite.templates)


@pytest.mark.parametrize("method", ["r-adapter", "flyp", "lora", "full", "r-adapter+head"])
def test_nothing_is_kept_where_the_tower_is_trained_or_not_read(suite, recipe, method):
    assert kept_of(learner_of(method), suite, Memory(), recipe) is None


def test_nothing_is_kept_of_captions_that_come_with_a_stream(encoder):
    learner = learner_of("r-adapter", towers=["image"])
    assert features(learner, StreamCaptions(encoder.tokenize), Memory()) is None


def test_short_memory_keeps_nothing_and_says_so(suite, recipe, caplog):
    learner = learner_of("r-adapter", towers=["image"])
    with caplog.at_level(logging.INFO):
        assert kept_of(learner, suite, Memory(0.01), recipe) is None
        assert "160 captions take 0.08 MiB, more than is left" in caplog.text
        assert kept_of(learner, suite, Memory(1), recipe) is not None
        assert "160 captions are encoded once and take 0.08 MiB" in caplog.text
