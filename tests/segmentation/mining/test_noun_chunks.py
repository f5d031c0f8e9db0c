"""Nouns by spaCy: real documents, their parse given by hand, since a trained pipeline is a download."""

import sys

import pytest

from radapter.errors import ConfigError, MissingExtraError
from radapter.segmentation.mining import SpacyNouns


def test_without_spacy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingExtraError, match=r"radapter\[nouns\]"):
        SpacyNouns.from_name("en_core_web_sm")


@pytest.fixture
def parsing():
    """A pipeline of spaCy whose one component writes down the parse of one sentence."""
    spacy = pytest.importorskip("spacy", reason="spacy absent: pip install 'radapter[nouns]'")
    from spacy.language import Language
    from spacy.tokens import Doc

    words = ["Two", "kitchen", "tables", "and", "Anna", "'s", "dogs", "near", "it"]
    parse = {
        "pos": ["NUM", "NOUN", "NOUN", "CCONJ", "PROPN", "PART", "NOUN", "ADP", "PRON"],
        "lemmas": ["two", "kitchen", "table", "and", "Anna", "'s", "dog", "near", "it"],
        "deps": ["nummod", "compound", "ROOT", "cc", "poss", "case", "conj", "prep", "pobj"],
        "heads": [2, 2, 2, 2, 6, 4, 2, 2, 7],
    }

    @Language.component("parse_by_hand")
    def parse_by_hand(doc):
        return Doc(doc.vocab, words=words, **parse)

    pipeline = spacy.blank("en")
    pipeline.add_pipe("parse_by_hand")
    return pipeline, " ".join(words)


def test_heads_of_noun_chunks_are_the_nouns(parsing):
    pipeline, sentence = parsing
    assert SpacyNouns(pipeline)(sentence) == ("table", "dog")


def test_a_pipeline_that_is_not_installed_is_refused():
    pytest.importorskip("spacy", reason="spacy absent: pip install 'radapter[nouns]'")
    with pytest.raises(ConfigError, match="spacy download no_such_model"):
        SpacyNouns.from_name("no_such_model")


def test_a_pipeline_without_a_parser_is_refused(tmp_path):
    spacy = pytest.importorskip("spacy", reason="spacy absent: pip install 'radapter[nouns]'")
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ConfigError, match="lacks parser and lemmatizer"):
        SpacyNouns.from_name(str(tmp_path / "blank"))
