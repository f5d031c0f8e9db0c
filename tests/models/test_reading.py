"""Which texts a tokenizer reads alike, and which words it lacks."""

import pytest

from radapter.models.reading import equal_texts, unknown_words
from radapter.models.tokenizing import LazyTokenizer


def test_names_of_unknown_words_are_equal_and_named(encoder):
    assert equal_texts(encoder, [["a star."], ["a zorb."], ["a moon."], ["a blick."]]) == [[1, 3]]
    assert unknown_words(encoder, ["star", "small zorb", "a moon"]) == {"small zorb": ["zorb"]}


def test_classes_are_equal_only_where_all_their_texts_are(encoder):
    assert equal_texts(encoder, [["a star.", "one star."], ["a star.", "two moons."]]) == []


def test_texts_that_the_context_cuts_are_equal_where_the_rest_is():
    open_clip = pytest.importorskip("open_clip")
    reader = LazyTokenizer(lambda: open_clip.get_tokenizer("ViT-B-32"), 77)

    class Reader:
        tokenize, unknown_id = staticmethod(reader), staticmethod(reader.unknown_id)

    long = "a " * 90
    assert equal_texts(Reader, [[long + "cat"], [long + "dog"], ["Cat"], ["cat"]]) == [[0, 1], [2, 3]]
    assert unknown_words(Reader, ["kohlrabi", "ÿæ"]) == {}
