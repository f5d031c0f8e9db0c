"""Paraphrases, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radapter.data.pairs.paraphrase import JOINTS, PLACES, SYNONYMS, paraphrase


@pytest.mark.parametrize(
    ("caption", "other"),
    [
        (
            "A black dog is running after a white dog in the snow .",
            "in the snow, the black hound is running after a white hound",
        ),
        ("Two dogs play together in the snow.", "in the snow, two hounds play together"),
        ("a red car on a blue striped background", "on the blue striped background, a red automobile"),
        ("A little girl plays croquet next to a truck", "beside the truck, a small lass plays croquet"),
        ("a boy , wearing a hat , near an old house", "close to the old home, a lad , dressed in a hat"),
        # no clause moves: too little before it, a joint in it, a verb in it, too long
        ("a dog in the snow", "the hound in the snow"),
        ("a man sleeps on a bench and a dog", "the gentleman sleeps on a bench and a hound"),
        ("a man sleeps in a hat holding a cup", "the gentleman sleeps in a hat carrying a mug"),
        (
            "he is here in one two three four five six seven eight",
            "he is here in one two three four five six seven eight",
        ),
        # articles follow the word that comes to stand after them
        ("the girl and a large apple and a car", "the lass and the big apple and an automobile"),
        ("the man with a child, a baby, and a dog", "the gentleman with the kid, an infant, and a hound"),
        ("Apples", "apples"),
    ],
)
def test_caption_in_other_words(caption, other):
    assert paraphrase(caption) == other


def test_pairs_change_places_once():
    assert paraphrase("big and large") == "large and big"


@given(st.text(st.sampled_from("a dog.,in thewAN\n"), max_size=40))
def test_what_has_a_word_keeps_one_and_one_line(caption):
    other = paraphrase(caption)
    assert other == " ".join(other.split())
    assert bool(other) == bool(caption.strip())


def test_the_table_is_in_lower_case_and_has_no_article():
    words = {word for pair in SYNONYMS.items() for phrase in pair for word in phrase.split()}
    assert all(word == word.lower() for word in words | PLACES | JOINTS)
    assert all(SYNONYMS[phrase] != phrase for phrase in SYNONYMS)
