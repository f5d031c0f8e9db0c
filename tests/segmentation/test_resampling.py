"""Resizing matrices equal torch's own resizing, line by line."""

import pytest
import torch
import torch.nn.functional as F

from radapter.segmentation.crops import antialiased_weights, nearest_index, plain_weights

LENGTHS = torch.tensor([1, 2, 3, 7, 16, 17, 50, 301])


@pytest.mark.parametrize("size", [1, 5, 16, 32])
@pytest.mark.parametrize(("weigh", "antialias"), [(antialiased_weights, True), (plain_weights, False)])
def test_weights_resize_as_torch_does(weigh, antialias: bool, size: int):
    weights = weigh(LENGTHS, size, span=310, dtype=torch.float64)
    for row, length in enumerate(LENGTHS.tolist()):
        line = torch.rand(length, dtype=torch.float64, generator=torch.Generator().manual_seed(row))
        plane = line[None, None, :, None].expand(1, 1, length, 4)
        expected = F.interpolate(plane, (size, 4), mode="bicubic", antialias=antialias)[0, 0, :, 0]
        torch.testing.assert_close(weights[row, :, :length] @ line, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weigh", [antialiased_weights, plain_weights])
def test_rows_sum_to_one_and_nothing_weighs_beyond_the_line(weigh):
    weights = weigh(LENGTHS, 24, span=310, dtype=torch.float64)
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(LENGTHS), 24, dtype=torch.float64))
    for row, length in enumerate(LENGTHS.tolist()):
        assert weights[row, :, length:].eq(0).all()


def test_halving_by_hand():
    # Four pixels to two: centres at 1 and 3, kernel twice as wide, taps at 0.25, 0.75, ... of its width.
    weights = antialiased_weights(torch.tensor([4]), 2, span=4, dtype=torch.float64)[0, 0]
    near, middle, far = 111 / 128, 29 / 128, -9 / 128  # the cubic at 1/4, 3/4 and 5/4, a = -1/2
    total = 2 * near + middle + far
    assert weights.tolist() == pytest.approx([near / total, near / total, middle / total, far / total])


@pytest.mark.parametrize("size", [1, 7, 14, 224])
def test_nearest_index_is_torch_s(size: int):
    index = nearest_index(LENGTHS, size)
    for row, length in enumerate(LENGTHS.tolist()):
        line = torch.arange(length).float()
        assert (
            index[row].tolist() == F.interpolate(line[None, None], size, mode="nearest")[0, 0].long().tolist()
        )
