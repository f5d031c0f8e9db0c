"""Captions and tokens: the words for a scene, and their numbers."""

import pytest
import torch
import transformers
from pretraining.model import new_model

from radapter import world
from radapter.world import tokens
from radapter.world.phrases import FULL, HYPERNYMS, STYLE_PHRASES, SYNONYMS, WEB, Rates


@pytest.fixture(scope="module")
def scenes():
    return world.sample(0, torch.arange(3000))


def test_clean_caption_names_what_is_there(scenes):
    for row, text in enumerate(world.captions(scenes)):
        words = text.split()
        there = {world.CLASSES[label] for label in scenes.classes[row].tolist() if label >= 0}
        assert there <= set(words)
        assert not (set(world.CLASSES) - there) & set(words)


def test_full_caption_names_style_colours_and_background_where_they_can_be_seen(scenes):
    colours = tuple(world.COLOURS)
    for row, text in enumerate(world.captions(scenes, FULL)):
        style = world.STYLES[scenes.style[row]]
        assert text.startswith(f"a {STYLE_PHRASES[style]} of ")
        coloured = f"{colours[scenes.colour[row, 0]]} {world.CLASSES[scenes.classes[row, 0]]}" in text
        assert coloured == (style not in ("sketch", "silhouette"))
        place = f"{colours[scenes.background[row]]} {world.PATTERNS[scenes.pattern[row]]} background"
        assert text.endswith(place) == (style not in ("sketch", "silhouette", "neon"))


def test_size_words_follow_the_scale(scenes):
    for row, text in enumerate(world.captions(scenes, Rates(size=1.0))):
        if " small " in text:
            assert scenes.scale[row, 0] < 0.5
        if " large " in text:
            assert scenes.scale[row, 0] > 0.7


def test_captions_do_not_depend_on_their_neighbours(scenes):
    texts = world.captions(scenes, WEB)
    rows = torch.tensor([2999, 5, 1234])
    assert world.captions(scenes.rows(rows), WEB) == [texts[row] for row in rows.tolist()]


@pytest.mark.parametrize(
    ("rate", "is_hit"),
    [
        ("synonym", lambda name, words: SYNONYMS[name] in words),
        ("hypernym", lambda name, words: HYPERNYMS[name] in words),
        ("sibling", lambda name, words: name not in words),
        ("pair", lambda name, words: world.CLASSES[world.CLASSES.index(name) ^ 1] in words),
    ],
)
def test_noise_comes_at_its_rate(rate, is_hit):
    single = world.sample(1, torch.arange(4000), two_objects=0.0)
    texts = world.captions(single, Rates(**{rate: 0.3}))
    names = [world.CLASSES[label] for label in single.classes[:, 0].tolist()]
    hits = sum(is_hit(name, text.split()) for name, text in zip(names, texts, strict=True))
    # fish and umbrella aside, every class has a sibling; umbrella shares "tool", fish is the only animal.
    assert hits / 4000 == pytest.approx(0.3, abs=0.04)


def test_every_word_has_a_number_and_every_caption_fits(scenes):
    for rates in (Rates(), WEB, FULL):
        texts = world.captions(scenes, rates)
        ids = tokens.encode(texts)
        assert (ids != tokens.UNK).all()
        assert ((ids == tokens.EOS).sum(1) == 1).all()
        assert [len(text.split()) for text in texts] == ((ids > tokens.EOS).sum(1)).tolist()


def test_tokenizer_agrees_with_encode_and_ignores_case_and_points(scenes):
    texts = world.captions(scenes, WEB)[:200]
    options = {"padding": "max_length", "truncation": True, "max_length": tokens.CONTEXT}
    ids = tokens.tokenizer()([t.upper() + "." for t in texts], return_tensors="pt", **options).input_ids
    assert torch.equal(ids, tokens.encode(texts))


def test_special_ids_are_those_that_clip_pools_right():
    tokenizer = tokens.tokenizer()
    ids = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id)
    assert ids == (0, 1, 2, 3)
    assert tokenizer("a zebra").input_ids == [1, tokens.VOCABULARY.index("a"), 2, 3]


def test_text_tower_pools_at_eos():
    model = new_model(0, width=32, image_layers=1, text_layers=1)
    ids = tokens.encode(["a red star"])
    with torch.no_grad():
        out = model.text_model(input_ids=ids)
    eos = (ids[0] == tokens.EOS).nonzero().item()
    assert torch.equal(out.pooler_output[0], out.last_hidden_state[0, eos])
    assert isinstance(model, transformers.CLIPModel)
