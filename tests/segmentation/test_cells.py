"""Cells: every pixel's class as by the sum over regions, at the price of a class a cell."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radapter.segmentation.pixels import cells_of, label_map


def counted(truth, predicted, pixels, classes):
    matrix = torch.zeros(classes, classes + 1, dtype=torch.int64)
    return matrix.index_put_((truth, predicted), pixels, accumulate=True)


@given(st.integers(0, 2**20), st.integers(0, 70), st.sampled_from(["bool", "half", "float"]))
def test_confusion_of_cells_is_that_of_the_label_map(seed, regions, kind):
    draw = torch.Generator().manual_seed(seed)
    soft = (torch.rand(regions, 6, 7, generator=draw) * 4).floor() / 4
    masks = soft > 0.4 if kind == "bool" else soft.half() if kind == "half" else soft
    labels = torch.randint(-1, 3, (6, 7), generator=draw)
    scores = torch.randint(0, 16, (regions, 3), generator=draw) / 16  # sums are exact, whatever their order
    cells = cells_of(masks, labels)
    found = counted(cells.classes, cells.named(scores), cells.pixels, 3)
    known = labels >= 0
    map_of_all = label_map(scores, masks.float())
    predicted = torch.where(map_of_all < 0, 3, map_of_all)[known]
    assert torch.equal(found, counted(labels[known], predicted, torch.ones_like(predicted), 3))


def test_pixels_of_one_column_and_class_are_one_cell():
    masks = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]]], dtype=torch.bool)
    cells = cells_of(masks, torch.tensor([[0, 0, 1, -1]]))
    assert cells.pixels.tolist() == [1, 1, 1]
    assert sorted(cells.shares.tolist()) == [[0, 1], [1, 0], [1, 1]]
    assert len(cells_of(masks, torch.full((1, 4), -1)).pixels) == 0
    assert cells_of(
        torch.ones(1, 9, 9, dtype=torch.bool), torch.zeros(9, 9, dtype=torch.int64)
    ).pixels.tolist() == [81]


def test_sizes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"masks must be \(Q, 3, 4\), as labels\. Got \(2, 4, 3\)"):
        cells_of(torch.ones(2, 4, 3), torch.zeros(3, 4, dtype=torch.int64))
