"""Boundary IoU: by hand, and against erosion pixel by pixel, class by class."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import segmentation as reference

from radapter.data import IGNORE
from radapter.evaluation.miou import boundary_counts, boundary_iou, class_boundary_iou, is_rim, rim_width


def test_the_rim_is_what_an_erosion_takes():
    labels = torch.zeros(5, 5, dtype=torch.int64)
    labels[1:, 1:] = 1  # a square of 4 x 4 at the corner
    assert is_rim(labels, 1).int().tolist() == [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [1, 1, 0, 0, 1],
        [1, 1, 0, 0, 1],
        [1, 1, 1, 1, 1],
    ]
    assert is_rim(labels, 2).all()


def test_the_width_follows_the_diagonal_and_is_at_least_1():
    assert (rim_width(1, 1), rim_width(300, 400), rim_width(480, 640)) == (1, 10, 16)


def test_by_hand():
    truth = torch.zeros(4, 4, dtype=torch.int64)
    guess = truth.clone()
    guess[0, 0] = 1
    counts = boundary_counts(guess, truth, 2)
    # of the truth's 12 rim pixels 11 are rim of both; around the wrong corner pixel (1, 1) becomes rim
    assert counts.tolist() == [[11, 0], [12, 0], [12, 1]]
    assert boundary_iou(counts) == 11 / 13
    assert boundary_iou(counts, convention="ovseg") == 11 / 26


@st.composite
def maps(draw):
    classes = draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    pairs = []
    for _ in range(draw(st.integers(1, 2))):
        # patches of 2 x 2, else everything is rim
        size = draw(st.integers(1, 6)), draw(st.integers(1, 6))
        small = [torch.randint(IGNORE, classes, size, generator=generator) for _ in range(2)]
        pairs.append(tuple(m.repeat_interleave(2, 0).repeat_interleave(2, 1)[:, 1:] for m in small))
    return classes, pairs


@settings(max_examples=60)  # the reference looks around every pixel
@given(maps(), st.sampled_from([0.02, 0.1, 0.3]))
def test_boundary_iou_equals_erosion_class_by_class(case, ratio):
    classes, pairs = case
    if all((truth == IGNORE).all() for _, truth in pairs):
        return
    counts = sum(boundary_counts(guess, truth, classes, ratio=ratio) for guess, truth in pairs)
    lists = [(guess.tolist(), truth.tolist()) for guess, truth in pairs]
    expected = reference.class_boundary_iou(lists, classes, IGNORE, ratio)
    assert class_boundary_iou(counts).tolist() == pytest.approx(expected, nan_ok=True)


def test_a_perfect_prediction_is_1():
    truth = torch.randint(IGNORE, 5, (20, 30), generator=torch.Generator().manual_seed(0))
    assert boundary_iou(boundary_counts(truth, truth, 5)) == 1.0


def test_what_is_no_label_map_is_refused():
    with pytest.raises(ValueError, match=r"label maps must be \(H, W\)"):
        boundary_counts(torch.zeros(1, 2, 2).int(), torch.zeros(1, 2, 2).int(), 2)
    with pytest.raises(ValueError, match="truth's shape"):
        boundary_counts(torch.zeros(2, 2).int(), torch.zeros(2, 3).int(), 2)
    with pytest.raises(ValueError, match=r"counts must be \(3, C\)"):
        boundary_iou(torch.zeros(2, 3).int())
