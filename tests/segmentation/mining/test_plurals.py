"""Plurals are made from singulars, the irregular ones too."""

import pytest

from radapter.segmentation.mining.nouns import plurals


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("dog", "dogs"), ("bus", "buses"), ("glass", "glasses"), ("dress", "dresses"), ("box", "boxes"),
        ("bench", "benches"), ("brush", "brushes"), ("puppy", "puppies"), ("toy", "toys"), ("knife", "knives"),
        ("leaf", "leaves"), ("roof", "roofs"), ("giraffe", "giraffes"), ("man", "men"), ("woman", "women"),
        ("snowman", "snowmen"), ("ottoman", "ottomans"), ("child", "children"), ("grandchild", "grandchildren"),
        ("foot", "feet"), ("mouse", "mice"), ("sheep", "sheep"), ("traffic light", "traffic lights"),
        ("police officer", "police officers"), ("wine glass", "wine glasses"), ("fire hydrant", "fire hydrants"),
    ],
)  # fmt: skip
def test_the_plural_of_a_noun(noun, plural):
    assert plural in plurals(noun)


def test_people_are_persons():
    assert plurals("person") == ("people", "persons")


def test_what_ends_in_o_is_given_in_both_forms():
    assert plurals("potato") == ("potatos", "potatoes")
    assert plurals("piano") == ("pianos", "pianoes")


def test_fish_are_fish_of_every_kind():
    assert plurals("fish") == ("fish", "fishes")
    assert plurals("goldfish") == ("goldfish", "goldfishes")
