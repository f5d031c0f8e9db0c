"""The shared term of CAR-FT, Lipsum-FT and the anchor equals its equations; weight 0 leaves it out."""

from dataclasses import replace

import pytest
import torch
from reference import teacher as reference
from torch.nn import functional as F

import radapter
from radapter.errors import ConfigError
from radapter.losses import bound_loss
from radapter.methods import LabelledPairs, RAdapterSettings, find_method
from radapter.methods.anchor import TEXTS, anchor, anchor_words
from radapter.methods.lipsum_ft import RandomTexts
from radapter.runs.fine_tuning import train_method
from radapter.zeroshot import LinearHead, class_embeddings

NAMES, TEMPLATES = ("star", "sun", "heart"), ("a photo of a {}.", "a sketch of a {}.")


@pytest.fixture
def encoder():
    return radapter.load("world:tiny").double()


def built(name: str, encoder, **settings):
    torch.manual_seed(0)
    method = find_method(name)
    embeddings = class_embeddings(encoder, NAMES, TEMPLATES)
    head = LinearHead.zero_shot(embeddings, encoder.logit_scale, NAMES, TEMPLATES)
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=None)
    return method.build(encoder, head=head, loss=loss, settings=method.settings_type(**settings)).learner


def pairs(encoder) -> LabelledPairs:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(4, 3, encoder.image_size, encoder.image_size, generator=generator).double()
    labels = torch.tensor([0, 1, 1, 0])
    return LabelledPairs(pixels, encoder.tokenize(["a star", "a sun"]), labels, labels)


def moved(learner) -> None:
    """Moves every trained parameter away from the start."""
    with torch.no_grad():
        for parameter in learner.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn_like(parameter))


def unit_images(encoder, pixels):
    return F.normalize(encoder.encode_image(pixels), dim=-1)


def term(learner, batch) -> torch.Tensor:
    return learner.regulariser(learner, batch, unit_images(learner.encoder, batch.pixels))


def test_car_ft_is_its_equation(encoder):
    base, learner, batch = radapter.load("world:tiny").double(), built("car-ft", encoder), pairs(encoder)
    assert term(learner, batch).item() == pytest.approx(0, abs=1e-12)
    moved(learner)
    rows = reference.contexts(lambda text: base.encode_text(base.tokenize([text]))[0], NAMES, TEMPLATES)
    images = [unit_images(each, batch.pixels) for each in (base, encoder)]
    scale = base.logit_scale
    expected = reference.kl_term(images[0], rows, scale, images[1], rows, scale)
    torch.testing.assert_close(term(learner, batch), expected)
    cross_entropy = F.cross_entropy(learner.head(images[1]), batch.targets)
    torch.testing.assert_close(learner(batch), cross_entropy + expected)


def test_lipsum_ft_is_its_equation(encoder):
    base, learner, batch = radapter.load("world:tiny").double(), built("lipsum-ft", encoder), pairs(encoder)
    moved(learner)
    torch.manual_seed(5)
    tokens = RandomTexts(base).tokens()
    rows = F.normalize(base.encode_text(tokens), dim=-1)
    before, now = (unit_images(each, batch.pixels) for each in (base, encoder))
    torch.manual_seed(5)
    torch.testing.assert_close(
        term(learner, batch), reference.lipsum_term(before, now, rows, base.logit_scale)
    )
    assert not learner.head.bias.requires_grad


def test_random_texts_have_eight_words_between_begin_and_end(encoder):
    tokens = RandomTexts(encoder).tokens()
    begin, end = encoder.tokenize([""])[0, :2].tolist()
    assert tokens.shape == (80, encoder.context_length)
    assert (tokens[:, 0] == begin).all()
    assert (tokens[:, 9] == end).all()
    assert not torch.isin(tokens[:, 1:9], torch.tensor([begin, end])).any()


@pytest.mark.parametrize("name", ["r-adapter", "flyp"])
def test_the_anchor_is_its_equation_for_both_towers(encoder, name):
    base, held = radapter.load("world:tiny").double(), anchor(encoder, weight=2.0)
    learner, batch = built(name, encoder), pairs(encoder)
    learner.regulariser = held
    moved(learner)
    learner.train()
    torch.manual_seed(5)
    chosen = torch.randperm(len(held.texts.tokens))[:TEXTS]
    tokens = held.texts.tokens[chosen]
    learner.eval()
    before, now = (unit_images(each, batch.pixels) for each in (base, encoder))
    rows0, rows = (F.normalize(each.encode_text(tokens), dim=-1) for each in (base, encoder))
    expected = 2 * reference.kl_term(before, rows0, base.logit_scale, now, rows, encoder.logit_scale)
    torch.manual_seed(5)
    torch.testing.assert_close(held(learner, batch, now), expected)
    assert expected > 1e-6


def test_the_anchor_s_gradient_reaches_a_trained_text_tower(encoder):
    held = anchor(encoder, weight=1.0)
    learner, batch = built("flyp", encoder), pairs(encoder)
    moved(learner)
    held(learner, batch, unit_images(encoder, batch.pixels).detach()).backward()
    parameters = [p for part in encoder.text_tower() for p in part.parameters()]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters)


def test_the_vocabulary_is_broad_and_takes_words(encoder):
    nouns, qualities = anchor_words()
    assert len(nouns) > 1500
    assert len(qualities) > 900
    assert not set(nouns) & set(qualities)
    known = len(anchor(encoder, weight=1.0).texts.tokens)
    assert len(anchor(encoder, ["pixel", "unknownword"], weight=1.0).texts.tokens) == known + 1


def same(first, second) -> bool:
    one, other = first.classifier.state_dict(), second.classifier.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def trained(name, suite, recipe):
    return train_method(find_method(name), radapter.load("world:tiny"), suite, recipe, seed=0)


@pytest.mark.parametrize("name", ["r-adapter", "flyp", "lora"])
def test_weight_0_of_the_anchor_is_bitwise_the_run_without_it(suite, recipe, name):
    short = replace(recipe, epochs=1)
    plain, zero, held = (trained(name, suite, replace(short, anchor=weight)) for weight in (None, 0.0, 1.0))
    assert same(plain, zero)
    assert not same(plain, held)


def test_car_ft_with_weight_0_is_bitwise_full_fine_tuning(suite, recipe):
    short = replace(recipe, epochs=1, learning_rate=1e-4)
    without = replace(short, settings=find_method("car-ft").settings_type(weight=0.0))
    assert same(trained("car-ft", suite, without), trained("full", suite, short))
    assert not same(trained("car-ft", suite, without), trained("car-ft", suite, short))


def test_lipsum_ft_with_weight_0_has_no_teacher(encoder):
    assert built("lipsum-ft", encoder, weight=0.0).regulariser is None


def test_the_preset_is_r_adapter_with_the_anchor(suite, recipe):
    short = replace(recipe, epochs=1)
    assert same(
        trained("r-adapter:anchored", suite, short), trained("r-adapter", suite, replace(short, anchor=1.0))
    )


def test_in_chunks_the_term_is_that_of_the_whole_batch(suite, recipe):
    short = replace(recipe, epochs=1, anchor=1.0, settings=RAdapterSettings(drop=0.0))
    whole, chunks = (trained("r-adapter", suite, replace(short, chunk_size=size)) for size in (None, 5))
    one, other = whole.classifier.state_dict(), chunks.classifier.state_dict()
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], atol=1e-4, rtol=0
        )  # AdamW divides by small gradients


def test_the_anchor_is_refused_for_a_head(suite, recipe):
    with pytest.raises(
        ConfigError, match=r"loss\.anchor is for contrastive methods\. Got 1\.0 with method 'full'"
    ):
        trained("full", suite, replace(recipe, anchor=1.0))
