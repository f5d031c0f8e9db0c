"""Prompts have "an" before a vowel sound."""

import pytest

from radapter.segmentation.mining.captions import prompt


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("dog", "a dog"), ("apple", "an apple"), ("ice cream", "an ice cream"), ("umbrella", "an umbrella"),
        ("unicycle", "a unicycle"), ("uniform", "a uniform"), ("utensil", "a utensil"), ("ukulele", "a ukulele"),
        ("hourglass", "an hourglass"), ("horse", "a horse"), ("atv", "an atv"), ("suv", "an suv"), ("tv", "a tv"),
        ("one-way sign", "a one-way sign"), ("Owl", "an Owl"),
    ],
)  # fmt: skip
def test_the_article_fits_the_noun(noun, expected):
    assert prompt(noun, "a photo of a {}.") == f"a photo of {expected}."


def test_only_the_article_before_the_noun_is_changed():
    assert prompt("owl", "A {}, in a photo of a bird") == "An owl, in a photo of a bird"
    assert prompt("owl", "a photo of the {}.") == "a photo of the owl."
    assert prompt("owl", "{}") == "owl"
    assert prompt("dog", "an image with an {}") == "an image with a dog"
