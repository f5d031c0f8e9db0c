"""Captions that do not fit the context: counted exactly, whatever the tokenizer."""

import pytest

from radapter.data.pairs.long_captions import long_captions
from radapter.errors import ModelError
from radapter.models.tokenizing import LazyTokenizer


def test_captions_are_cut_above_the_context_and_not_at_it(encoder, caplog):
    words = encoder.context_length - 2  # the others are begin and end
    fits, too_long = " ".join(["red"] * words), " ".join(["red"] * (words + 1))
    found = long_captions([fits, too_long, "a car", too_long], encoder, name="scenes")
    assert (found.captions, found.cut, found.longest, found.context) == (3, 1, words + 3, words + 2)
    assert "captions of 'scenes' should have at most 18 tokens" in caplog.text
    assert "1 of 3 have more, up to 19" in caplog.text


def test_nothing_is_said_where_all_fit(encoder, caplog):
    assert long_captions(["a car", ""], encoder, name="scenes").cut == 0
    assert not caplog.text


def test_open_clips_own_tokenizer_counts_uncut():
    open_clip = pytest.importorskip("open_clip")
    tokenizer = LazyTokenizer(lambda: open_clip.SimpleTokenizer(context_length=8), 8)
    assert tokenizer.token_counts(["a dog", "a dog in the snow!", "a dog in the deep snow!"]) == [4, 8, 9]
    assert tokenizer.token_counts([]) == []


def test_a_callable_that_cannot_be_asked_is_refused():
    tokenizer = LazyTokenizer(lambda: lambda texts: None, 8)
    with pytest.raises(ModelError, match="must take context_length"):
        long_captions(["a"], tokenizer, name="x")
