"""Nouns of captions; most captions are of Flickr8k, their nouns were written down by hand."""

import pytest

from radapter.segmentation.mining import VocabularyNouns, vocabulary
from radapter.segmentation.mining.nouns import words_of

FLICKR8K = {
    "A child in a pink dress is climbing up a set of stairs in an entry way .": "child, dress, stairs",
    "A black dog and a spotted dog are fighting": "dog",
    "A little girl covered in paint sits in front of a painted rainbow with her hands in a bowl .": (
        "girl, rainbow, hand, bowl"
    ),
    "A man lays on a bench while his dog sits by him .": "man, bench, dog",
    "The man with pierced ears is wearing glasses and an orange hat .": "man, ear, glasses, hat",
    "Three children are on a rug pretending to play instruments .": "child, rug, instrument",
    "A white dog carries a bottle in its mouth through the snow .": "dog, bottle, mouth, snow",
    "A man and two children in life jackets in a boat on a lake .": "man, child, life jacket, boat, lake",
    "Several people lay out in the sun on white lawn chairs by a body of water .": (
        "person, sun, lawn chair, water"
    ),
    "A soccer player in red uniform runs after a soccer ball .": "soccer player, uniform, soccer ball",
    "A black dog running towards the camera .": "dog",
    "The crouching man is holding a large camera .": "man, camera",
    "four children are playing in a water fountain in a city plaza .": "child, fountain, plaza",
    "A guy in swimming trunks flying on a rope swing above a lake .": "man, swim trunks, swing, lake",
    "A man rides a skateboard off of a picnic table over the steps .": "man, skateboard, picnic table, step",
    "Two dogs run along a path strewn with dead leaves .": "dog, path, leaf",
    "A small dog stops in its tracks to look at the big dog chasing it .": "dog, track",
    "A woman in an orange dress is dancing with a man in a black suit .": "woman, dress, man, suit",
    "A boy wearing a red t-shirt is running through woods .": "boy, t-shirt, forest",
    "Women wearing bunny ears and race numbers point at something in the distance .": "woman, ear",
    "The little dog walking on the grass has a red bow in its hair .": "dog, grass, bow, hair",
    "This marketplace is very busy .": "",
}
CASES = {
    "A man skis past two people who ski .": "man, person",
    "Children swing , a child swings on a tire swing .": "child, swing",
    "Men and women cross the street at the cross .": "man, woman, street, cross",
    "the kitchen table, the dog's tail": "table, dog, tail",
    "a traffic light near a fire hydrant , lights and hydrants": "traffic light, fire hydrant, light",
    "a hot dog on a bus": "hot dog, bus",
    "grass, glass, dresses and knives": "grass, glass, dress, knife",
    "The man\u2019s hat and the boys' bikes": "man, hat, boy, bicycle",
    "a painting of a red car on a blue plain background": "car",
    "a neon sign of a star": "star",
    "a pixel image of an orange rocket and a mug": "rocket, cup",
    "": "",
    "\u732b \u2603 ...": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def finder():
    return VocabularyNouns(vocabulary())


@pytest.mark.parametrize("caption", [*FLICKR8K, *CASES])
def test_the_nouns_of_a_caption(finder, caption):
    assert ", ".join(finder(caption)) == {**FLICKR8K, **CASES}[caption]


def test_the_longest_phrase_counts(tmp_path):
    path = tmp_path / "nouns.txt"
    path.write_text("light\ntraffic\ntraffic light\ntraffic light pole\n")
    finder = VocabularyNouns(vocabulary([str(path)]))
    assert finder("traffic light poles and traffic , light") == ("traffic light pole", "traffic", "light")


def test_a_phrase_without_a_noun_hides_what_is_in_it(tmp_path):
    path = tmp_path / "nouns.txt"
    path.write_text("camera\n! at the camera\n")
    finder = VocabularyNouns(vocabulary([str(path)]))
    assert finder("smiles at the camera") == ()
    assert finder("smiles at a camera") == ("camera",)


def test_words_are_lower_case_without_hyphens_and_marks_stand_alone():
    assert words_of("A Man's T-shirt, No.7!") == ["a", "man", "'s", "t", "shirt", ",", "no", ".", "7", "!"]


def test_most_captions_of_flickr8k_name_a_noun(finder, real_data):
    import pyarrow.parquet as pq

    rows = pq.read_table(real_data / "flickr8k" / "test.parquet", columns=["captions"]).to_pydict()
    captions = [caption for row in rows["captions"] for caption in row]
    bare = sum(not finder(caption) for caption in captions)
    assert len(captions) == 5_000
    assert bare < 0.01 * len(captions)
