"""Lists of nouns: the built-in one is whole, a user's is checked line by line."""

import pytest

from radapter import world
from radapter.errors import ConfigError
from radapter.segmentation.mining import BUILT_IN, vocabulary
from radapter.segmentation.mining.nouns import VERBS, words_of

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket",
    "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "oranges",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote control", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair dryer", "toothbrush",
)  # fmt: skip


def listed(tmp_path, text, name="nouns.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_built_in_list_has_what_coco_and_the_world_show():
    words = vocabulary()
    assert 1_000 < len(words.nouns) < 1_500
    for noun in (*COCO, *world.CLASSES):
        assert words.forms[tuple(words_of(noun))].noun is not None, noun


def test_verbs_are_words_of_the_built_in_list():
    singulars = {form.singular for form in vocabulary().forms.values() if form.noun is not None}
    assert singulars >= VERBS


def test_synonyms_map_to_the_first_word_of_their_line(tmp_path):
    words = vocabulary([listed(tmp_path, "# rooms\n\nCouch, Sofa , settee\nT-shirt\n")])
    assert words.nouns == ("couch", "t-shirt")
    assert {words.forms[(word,)].noun for word in ("couch", "sofas", "settee")} == {"couch"}
    assert words.forms[("t", "shirts")].noun == "t-shirt"


def test_lists_are_joined_and_a_later_one_wins(tmp_path):
    words = vocabulary([BUILT_IN, listed(tmp_path, "zorb\nsettle, sofa\n! dog days\n")])
    assert words.forms[("zorbs",)].noun == "zorb"
    assert words.forms[("sofa",)].noun == "settle"
    assert words.forms[("couch",)].noun == "couch"
    assert words.forms[("dog", "days")].noun is None


def test_a_word_of_the_list_is_no_plural_of_another():
    forms = vocabulary().forms
    assert forms[("glasses",)].noun == "glasses"
    assert not forms[("bus",)].is_plural
    assert forms[("buses",)].is_plural


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("dog\ncat\nDog\n", "'Dog' in lines 1 and 3"),
        ("couch, sofa\nsofa\n", "'sofa' in lines 1 and 2"),
        ("dog,\n", "line 1"),
        ("...\n", "must have a letter"),
        ("# nothing\n", "must hold one"),
        ("! only this\n", "must hold one"),
    ],
)
def test_a_list_with_a_repeated_or_empty_noun_is_refused(tmp_path, text, why):
    with pytest.raises(ConfigError, match=why):
        vocabulary([listed(tmp_path, text)])


def test_a_list_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"'nowhere\.txt' is not a file"):
        vocabulary(["nowhere.txt"])


def test_a_list_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "nouns.txt").write_bytes(b"\xff\xfe\x00dog")
    with pytest.raises(ConfigError, match="must be UTF-8"):
        vocabulary([str(tmp_path / "nouns.txt")])
