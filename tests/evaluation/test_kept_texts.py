"""Texts are encoded again when, and only when, a report says that weights changed and the text tower did."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from peft import get_peft_model

import radapter
from radapter.adapter import RAdapterConfig
from radapter.evaluation import Measured, measured, sweep
from radapter.evaluation.features import KeptTexts, encode_texts
from radapter.methods import METHODS
from radapter.runs.evaluator import Evaluator
from radapter.runs.fine_tuning import train_method
from radapter.zeroshot import class_embeddings

CAPTIONS = ("a red fish", "a blue star", "a red fish")


class Counted:
    """An encoder and the texts that it read."""

    def __init__(self):
        self.encoder = radapter.load("world:tiny")
        self.read = 0
        encode = self.encoder.encode_text

        def counting(tokens):
            self.read += len(tokens)
            return encode(tokens)

        self.encoder.encode_text = counting


def text_weight(encoder):
    return next(p for part in encoder.text_tower() for p in part.parameters())


def test_the_same_texts_of_the_same_tower_are_encoded_once():
    counted, kept = Counted(), KeptTexts()
    first = kept.features(counted.encoder, CAPTIONS)
    assert counted.read == 2
    assert torch.equal(kept.features(counted.encoder, CAPTIONS), first)
    assert counted.read == 2
    assert torch.equal(first, encode_texts(radapter.load("world:tiny"), CAPTIONS))


def test_class_embeddings_are_kept_by_their_names_and_templates():
    counted, kept = Counted(), KeptTexts()
    first = kept.class_embeddings(counted.encoder, ("cat", "dog"), ("a {}.",))
    assert torch.equal(first, class_embeddings(radapter.load("world:tiny"), ("cat", "dog"), ("a {}.",)))
    kept.class_embeddings(counted.encoder, ("cat", "dog"), ("a {}.",))
    assert counted.read == 2
    kept.class_embeddings(counted.encoder, ("cat", "dog"), ("the {}.",))
    assert counted.read == 4


def test_another_encoder_with_the_same_tower_needs_nothing_anew():
    first, second, kept = Counted(), Counted(), KeptTexts()
    kept.features(first.encoder, CAPTIONS)
    kept.features(second.encoder, CAPTIONS)
    assert second.read == 0


def test_a_changed_tower_gives_new_features_and_its_return_the_old_ones():
    counted, kept = Counted(), KeptTexts()
    before = kept.features(counted.encoder, CAPTIONS)
    weight = text_weight(counted.encoder)
    original = weight.detach().clone()
    weight.data.mul_(1.5)  # autograd counts no version of this change
    counted.encoder.weights_changed()
    now = kept.features(counted.encoder, CAPTIONS)
    assert not torch.equal(now, before)
    assert torch.equal(now, encode_texts(counted.encoder, CAPTIONS))
    weight.data.copy_(original)
    counted.encoder.weights_changed()
    assert torch.equal(kept.features(counted.encoder, CAPTIONS), before)


class Image(NamedTuple):
    pixels: torch.Tensor


class Texts(NamedTuple):
    """A measure whose only figure is the mean of the features."""

    prepare: Callable[[], torch.Tensor]
    batches: tuple[Image, ...] = (Image(torch.zeros(1)),)

    def count(self, batch):
        return 1

    def truth(self, batch):
        return batch

    def observe(self, prepared, batch):
        return prepared

    def summarise(self, prepared, observed, truths):
        return Measured({"mean": float(prepared.mean())}, torch.zeros(1))


def test_every_measurement_reads_the_tower_as_it_is():
    counted, kept = Counted(), KeptTexts()
    measure = Texts(lambda: kept.features(counted.encoder, CAPTIONS))
    first = measured(counted.encoder, measure).metrics
    text_weight(counted.encoder).data.mul_(1.5)
    assert measured(counted.encoder, measure).metrics != first
    assert counted.read == 4


def test_a_sweep_reads_the_tower_at_each_alpha_and_as_it_was_afterwards():
    counted, kept = Counted(), KeptTexts()
    weight = text_weight(counted.encoder)
    original = weight.detach().clone()

    @contextmanager
    def at(alpha):
        weight.data.copy_(original * (1 + alpha))
        yield
        weight.data.copy_(original)

    before = kept.features(counted.encoder, CAPTIONS)
    measure = Texts(lambda: kept.features(counted.encoder, CAPTIONS))
    means = [
        found["texts"]["mean"]
        for found in sweep(counted.encoder, at, {"texts": measure}, (0.5, 1.0)).values()
    ]
    assert len({float(before.mean()), *means}) == 3
    assert torch.equal(kept.features(counted.encoder, CAPTIONS), before)


@pytest.mark.parametrize("tower", ["image_tower", "text_tower"])
def test_a_report_forgets_nothing_where_the_text_tower_is_the_same(tower):
    counted, kept = Counted(), KeptTexts()
    kept.features(counted.encoder, CAPTIONS)
    factor = 1.5 if tower == "image_tower" else 1
    for part in getattr(counted.encoder, tower)():
        for parameter in part.parameters():
            parameter.data.mul_(factor)
    counted.encoder.weights_changed()
    kept.features(counted.encoder, CAPTIONS)
    assert counted.read == 2


def test_a_tower_with_adapters_is_asked_every_time():
    counted, kept = Counted(), KeptTexts()
    get_peft_model(counted.encoder.module, RAdapterConfig())
    kept.features(counted.encoder, CAPTIONS)
    kept.features(counted.encoder, CAPTIONS)
    assert counted.read == 4
    assert kept.nbytes == 0


def test_what_does_not_fit_is_not_kept():
    counted = Counted()
    kept = KeptTexts(mib=encode_texts(counted.encoder, CAPTIONS).nbytes / 2**20)
    kept.features(counted.encoder, CAPTIONS)
    held = kept.nbytes
    kept.features(counted.encoder, ("a green sun",))
    assert kept.nbytes == held > 0


@pytest.mark.parametrize(("method", "once"), [("full", True), ("r-adapter+head", True), ("flyp", False)])
def test_a_run_reads_its_class_names_once_where_the_text_tower_is_not_trained(suite, recipe, method, once):
    counted, suite = Counted(), replace(suite, texts=KeptTexts())
    prompts = len(suite.classnames) * len(suite.templates)
    evaluator = Evaluator(suite, counted.encoder)
    zero_shot = evaluator.zero_shot(counted.encoder)
    assert counted.read == prompts
    trained = train_method(METHODS[method], counted.encoder, suite, recipe, seed=0)
    evaluator.sweep(trained, zero_shot, (0.0, 0.5, 1.0))
    assert (counted.read == prompts) == once
