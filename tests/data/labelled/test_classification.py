"""The set itself."""

import pytest
import torch

from radapter.data import array_set
from radapter.errors import DataError


@pytest.fixture
def dataset():
    """Six grey images of two classes."""
    pixels = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 3, 2, 2)
    return array_set("greys", pixels, torch.tensor([0, 1, 0, 1, 0, 1]), ["even", "odd"])


def test_subset_keeps_labels_keys_and_images_together(dataset):
    part = dataset.subset([5, 2], name="two")
    assert (part.name, len(part)) == ("two", 2)
    assert part.labels.tolist() == [1, 0]
    assert part.keys.tolist() == dataset.keys[[5, 2]].tolist()
    assert [part.image(i).getpixel((0, 0))[0] for i in range(2)] == [5, 2]
    assert part.where(0) == dataset.where(5)


def test_subset_of_a_subset_counts_in_the_subset(dataset):
    assert dataset.subset([5, 4, 3]).subset([2]).image(0).getpixel((0, 0))[0] == 3


def test_subset_by_mask(dataset):
    assert dataset.subset(dataset.labels == 1).rows.tolist() == [1, 3, 5]


def test_empty_subset_is_refused(dataset):
    with pytest.raises(DataError, match="must hold an image"):
        dataset.subset([])


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_label_outside_the_class_list_is_refused(labels):
    with pytest.raises(DataError, match=r"must be in \[0, 1\]"):
        array_set("a", torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor(labels), ["a", "b"])


def test_duplicate_class_names_are_refused():
    with pytest.raises(DataError, match="repeats 1: 'a'"):
        array_set("a", torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.tensor([0]), ["a", "a"])


def test_lengths_must_agree(dataset):
    with pytest.raises(ValueError, match=r"must each be \(N,\)"):
        array_set("a", torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor([0]), ["a"])


def test_arrays_must_be_images():
    with pytest.raises(ValueError, match="uint8"):
        array_set("a", torch.zeros(2, 3, 2, 2), torch.tensor([0, 0]), ["a"])
