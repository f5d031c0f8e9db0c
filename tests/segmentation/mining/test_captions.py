"""The nouns of a data set, image by image."""

import pytest
from data.pairs.test_pair_set import pairs

from radapter.errors import DataError
from radapter.segmentation.mining import VocabularyNouns, named_nouns, readable_nouns, vocabulary

CAPTIONS = ("A man and his dog .", "A person with a dog on grass", "Nothing .", "a dog")


@pytest.fixture
def found():
    return named_nouns(pairs(CAPTIONS, [0, 0, 1, 2]), VocabularyNouns(vocabulary()))


def test_the_vocabulary_is_what_captions_name(found):
    assert found.nouns == ("dog", "grass", "man", "person")
    assert [[found.nouns[i] for i in of.ids] for of in found.of_images] == [
        ["man", "dog", "person", "grass"],
        [],
        ["dog"],
    ]
    assert (found.total, found.without) == (5, 1)


def test_a_noun_keeps_the_first_caption_that_names_it(found):
    assert found.of_images[0].captions == (CAPTIONS[0], CAPTIONS[0], CAPTIONS[1], CAPTIONS[1])


def test_nouns_of_one_caption_are_apart(found):
    man, dog, person, grass = range(4)
    together = {(man, dog), (dog, person), (dog, grass), (person, grass)}
    expected = [[(a, b) in together or (b, a) in together for b in range(4)] for a in range(4)]
    assert found.of_images[0].apart.tolist() == expected


def test_captions_without_any_noun_are_refused():
    with pytest.raises(DataError, match=r"None of the 1 of 'set' does, such as 'Hm'.*--nouns"):
        named_nouns(pairs(["Hm"], [0]), VocabularyNouns(vocabulary()))


def test_nouns_with_equal_tokens_are_skipped_with_a_warning(encoder, caplog):
    captions = ["a dog with a star", "grass and a moon by a zebra"]  # world:tiny knows the star and the moon
    named = named_nouns(pairs(captions, [0, 1]), VocabularyNouns(vocabulary()))
    left = readable_nouns(named, encoder, "a photo of a {}.")
    assert left.nouns == ("moon", "star")
    assert [image.ids for image in left.of_images] == [(1,), (0,)]
    assert "It reads 3 of the 5" in caplog.text
    assert "'dog', 'grass', 'zebra'" in caplog.text


def test_nouns_that_all_have_equal_tokens_are_refused(encoder):
    named = named_nouns(pairs(["a dog on grass"], [0]), VocabularyNouns(vocabulary()))
    with pytest.raises(DataError, match=r"reads all 2 .* 'dog', 'grass'\. Use another --model"):
        readable_nouns(named, encoder, "a photo of a {}.")
