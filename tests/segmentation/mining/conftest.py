"""Captioned scenes of the world, their true regions as proposals, and what looks at them."""

import pytest
from segmentation.mining.true_regions import TrueRegions

import radapter
from radapter import world
from radapter.data import open_pairs
from radapter.segmentation.mining import RegionMatcher, VocabularyNouns, named_nouns, vocabulary

SIZE = 24


@pytest.fixture(scope="session")
def captioned():
    """Scenes with clean captions."""
    return open_pairs({"world": "scenes", "size": SIZE, "seed": 5}, join=False)


@pytest.fixture(scope="session")
def truth():
    return world.split("scenes", size=SIZE, seed=5)


@pytest.fixture(scope="session")
def named(captioned):
    return named_nouns(captioned, VocabularyNouns(vocabulary()))


@pytest.fixture(scope="session")
def tiny():
    return radapter.load("world:tiny")


@pytest.fixture(scope="session")
def matcher(tiny, named, truth):
    return RegionMatcher(tiny, TrueRegions(truth), named.nouns)
