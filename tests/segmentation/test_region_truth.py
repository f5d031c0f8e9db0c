"""The class that most of a region has."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radapter.data import IGNORE
from radapter.segmentation.region_truth import certain_scores, majority_classes

LABELS = torch.tensor([[0, 0, 1], [IGNORE, IGNORE, 1], [IGNORE, 2, 1]])


def region(*rows: str) -> torch.Tensor:
    return torch.tensor([[pixel == "x" for pixel in row] for row in rows])


def test_by_hand():
    masks = torch.stack(
        [
            region("xxx", "...", "..."),  # two of class 0, one of 1
            region("..x", "xx.", "x.."),  # three without a class do not outvote one of class 1
            region("...", "xx.", "x.."),  # nothing but pixels without a class
            region("..x", "...", ".x."),  # a tie
            region("...", "...", "..."),
        ]
    )
    assert majority_classes(masks, LABELS, 3).tolist() == [0, 1, IGNORE, 1, IGNORE]


def test_a_soft_mask_votes_by_its_values():
    mask = torch.zeros(1, 3, 3)
    mask[0, 0, 0], mask[0, 0, 1], mask[0, 2, 1] = 0.25, 0.25, 0.75
    assert majority_classes(mask.half(), LABELS, 3).tolist() == [2]


@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 1000))
def test_equals_counting_pixel_by_pixel(classes, regions, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(IGNORE, classes, (3, 5), generator=generator)
    masks = torch.rand(regions, 3, 5, generator=generator) < 0.4
    expected = []
    for mask in masks.tolist():
        votes = [
            sum(mask[y][x] for y in range(3) for x in range(5) if labels[y, x] == c) for c in range(classes)
        ]
        expected.append(votes.index(max(votes)) if max(votes) else IGNORE)
    assert majority_classes(masks, labels, classes).tolist() == expected


def test_votes_are_summed_over_blocks_of_pixels(monkeypatch):
    monkeypatch.setattr("radapter.segmentation.region_truth._BLOCK", 2)
    assert majority_classes(torch.ones(1, 3, 3), LABELS, 3).tolist() == [1]


def test_scores_of_known_classes_are_certain():
    scores = certain_scores(torch.tensor([1, IGNORE, 0]), 2)
    assert scores.tolist() == [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("masks", "labels", "said"),
    [
        (torch.ones(1, 2, 3), LABELS, r"as labels. Got \(1, 2, 3\)"),
        (torch.ones(1, 3, 3), LABELS + 1, r"span \[0, 3\]"),
        (torch.ones(1, 3, 3), LABELS - 1, r"span \[-2, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused(masks, labels, said):
    with pytest.raises(ValueError, match=said):
        majority_classes(masks, labels, 3)
