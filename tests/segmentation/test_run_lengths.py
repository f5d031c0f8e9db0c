"""Run lengths are pycocotools', also for a mask of a part of an image."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from radapter.errors import DataError, MissingExtraError
from radapter.segmentation.mask_files import decode, encode


@st.composite
def parts(draw):
    """A mask, where it starts, and the image's size."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    left, top, right, bottom = (draw(st.integers(0, 3)) for _ in range(4))
    return torch.tensor(bits).view(height, width), left, top, (top + height + bottom, left + width + right)


@given(parts())
def test_a_part_is_written_as_pycocotools_writes_the_whole(part):
    mask, left, top, size = part
    whole = torch.zeros(size, dtype=torch.bool)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    expected = coco.encode(np.asfortranarray(whole.numpy(), dtype=np.uint8))
    ours = encode(mask, left=left, top=top, size=size)
    assert ours == {"size": list(size), "counts": expected["counts"].decode()}
    assert torch.equal(decode(ours, size=size, where="it"), whole)


def test_by_hand():
    mask = torch.tensor([[0, 1, 1], [1, 1, 0]]).bool()  # column by column 0 1, 1 1, 1 0
    assert encode(mask) == {"size": [2, 3], "counts": "141"}


def test_lengths_that_are_not_compressed_are_read():
    mask = decode({"size": [2, 3], "counts": [1, 4, 1]}, size=(2, 3), where="it")
    assert mask.int().tolist() == [[0, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "size and counts"),
        ([1, 2], "size and counts"),
        ({"size": [3, 2], "counts": "141"}, "image's size, 3 x 2"),
        ({"size": [2, 3], "counts": [1, 4000, 1]}, "fill"),
        ({"size": [2, 3], "counts": "1`8000000"}, "fill"),
        ({"size": [2, 3], "counts": 5}, "fill"),
        ({"size": [2, 3], "counts": ["a"]}, "fill"),
        ({"size": 4, "counts": "141"}, "size"),
    ],
)
def test_what_is_no_mask_of_the_size_is_refused(value, message: str):
    with pytest.raises(DataError, match=message):
        decode(value, size=(2, 3), where="region 0")


def test_without_pycocotools_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(MissingExtraError, match=r"radapter\[segmentation\]"):
        encode(torch.ones(1, 1).bool())
