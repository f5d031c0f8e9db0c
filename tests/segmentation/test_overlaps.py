"""All overlaps at once equal one pair at a time."""

import pytest
import torch
from reference import regions

from radapter.segmentation.proposals import mask_iou, segment_iou, suppress


def test_mask_iou_equals_counting_pixels():
    masks = regions.random_masks(9, 23, 31, seed=0)
    masks[4] = False
    expected = torch.tensor([[regions.iou(a, b) for b in masks] for a in masks], dtype=torch.float64)
    torch.testing.assert_close(mask_iou(masks), expected, rtol=0, atol=0)


def test_mask_iou_by_hand():
    masks = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 1]], [[0, 0, 0, 0]]]).bool()
    assert mask_iou(masks).tolist() == [[1, 0.25, 0], [0.25, 1, 0], [0, 0, 0]]


def test_more_pixels_than_a_block_are_counted_exactly():
    masks = torch.ones(2, 1500, 1500, dtype=torch.bool)
    masks[1, 0, 0] = False
    assert mask_iou(masks)[0, 1].item() == (1500**2 - 1) / 1500**2


def test_segment_iou_equals_mask_iou_of_the_segments():
    generator = torch.Generator().manual_seed(1)
    maps = torch.stack(
        [
            torch.where(labels < 0, -1, labels + first)
            for first, count in ((0, 3), (3, 5), (8, 2))
            for labels in [torch.randint(-1, count, (20, 30), generator=generator)]
        ]
    )
    masks = (maps[None] == torch.arange(10)[:, None, None, None]).any(1)
    torch.testing.assert_close(segment_iou(maps), mask_iou(masks), rtol=0, atol=0)


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.8])
def test_suppression_keeps_what_one_at_a_time_keeps(threshold: float):
    masks = regions.random_masks(30, 20, 20, seed=2)
    kept = suppress(mask_iou(masks), threshold=threshold)
    assert kept.nonzero()[:, 0].tolist() == regions.kept(masks, threshold)


def test_a_mask_dropped_drops_no_other():
    chain = torch.tensor([[1, 0.9, 0], [0.9, 1, 0.9], [0, 0.9, 1]])
    assert suppress(chain, threshold=0.8).tolist() == [True, False, True]
