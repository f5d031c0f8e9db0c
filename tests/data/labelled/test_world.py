"""The synthetic benchmark as a data set."""

import pytest
import torch

from radapter.data import open_classification
from radapter.errors import ConfigError, DataError
from radapter.world import CLASSES, COLOURS, PATTERNS, split


def test_split_is_the_worlds():
    dataset = open_classification({"world": "sketch", "seed": 3, "size": 6})
    drawn = split("sketch", seed=3, size=6)
    assert dataset.name == "sketch"
    assert dataset.classnames == CLASSES
    assert torch.equal(dataset.labels, drawn.labels)
    assert torch.equal(dataset.keys, drawn.keys)
    assert dataset.image(5).tobytes() == drawn.images[5].permute(1, 2, 0).contiguous().numpy().tobytes()


def test_seed_and_correlation_change_the_images():
    specs = [{}, {"seed": 1}, {"correlation": 0.0}, {"difficulty": 0.5}]
    images = {open_classification({"world": "train", "size": 8, **spec}).image(0).tobytes() for spec in specs}
    assert len(images) == len(specs)


def test_parts_of_a_split_are_disjoint_and_whole():
    parts = [open_classification({"world": "photo", "size": 60, "part": p}) for p in ([0, 0.4], [0.4, 1])]
    keys = [set(part.keys.tolist()) for part in parts]
    assert not keys[0] & keys[1]
    assert sum(map(len, keys)) == 60


def test_unknown_split_proposes_the_nearest():
    with pytest.raises(DataError, match="Did you mean 'sketch'"):
        open_classification({"world": "skech"})


@pytest.mark.parametrize("split", ["sketch", "colour"])
def test_correlation_of_a_split_without_one_is_refused(split):
    with pytest.raises(ConfigError, match="correlation acts on"):
        open_classification({"world": split, "correlation": 0.9})


def test_kept_tasks_have_class_names_of_their_own():
    names = [open_classification({"world": split, "size": 4}).classnames for split in ("colour", "pattern")]
    assert names == [tuple(COLOURS), PATTERNS]
