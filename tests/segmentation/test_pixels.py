"""The class of every pixel equals looking at all classes at once; memory stays bounded."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from radapter.segmentation import NOTHING, label_map, label_regions


def brute_force(scores: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    total = torch.einsum("qc,qhw->chw", scores, masks.to(scores.dtype))
    best = total.max(0)
    return torch.where(best.values > 0, best.indices, NOTHING)


def whole(shape: tuple[int, ...], top: int, generator: torch.Generator) -> torch.Tensor:
    """Multiples of 1 / 64: sums are exact in any order, and often equal."""
    return torch.randint(0, top, shape, generator=generator) / 64


@pytest.mark.parametrize("block", [1, 3, 16, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_labels_equal_the_brute_force_ties_included(seed: int, block: int):
    generator = torch.Generator().manual_seed(seed)
    scores, masks = whole((9, 40), 5, generator), whole((9, 37, 61), 4, generator)
    masks[:, :5] = 0
    labels = label_map(scores, masks.half(), class_block=block)
    assert torch.equal(labels, brute_force(scores, masks))
    assert labels[:5].eq(NOTHING).all()


def test_strips_of_pixels_change_nothing(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(9)
    scores, masks = whole((5, 12), 9, generator), whole((5, 23, 17), 64, generator)
    expected = brute_force(scores, masks)
    monkeypatch.setattr("radapter.segmentation.pixels._PIXELS", 10)
    assert torch.equal(label_map(scores, masks), expected)


def test_random_float64_scores_equal_the_brute_force():
    generator = torch.Generator().manual_seed(3)
    scores = torch.rand(20, 300, generator=generator, dtype=torch.float64)
    masks = torch.rand(20, 40, 50, generator=generator, dtype=torch.float64)
    assert torch.equal(label_map(scores, masks), brute_force(scores, masks))


def test_the_first_of_equal_classes_wins_across_blocks():
    scores = torch.tensor([[0.25, 0.5, 0.5, 0.5, 0.25]])
    assert label_map(scores, torch.ones(1, 1, 1), class_block=2).item() == 1


def test_no_region_leaves_every_pixel_without_a_class():
    assert label_map(torch.zeros(0, 4), torch.zeros(0, 2, 3)).tolist() == [[NOTHING] * 3] * 2


def test_one_class_is_everywhere_that_a_region_lies():
    masks = torch.tensor([[[1.0, 0.0]]])
    assert label_map(torch.tensor([[0.1]]), masks).tolist() == [[0, NOTHING]]


def test_847_classes_on_640_by_853_take_at_most_300_mb_above_the_masks():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is read from /proc, which is absent")
    code = """
import re, torch
from pathlib import Path
from radapter.segmentation.pixels import label_map
torch.set_num_threads(1)
masks = torch.rand(20, 640, 853).half()
scores = torch.rand(20, 847)
label_map(scores, masks[:, :8, :8])
mib = lambda key: int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
Path("/proc/self/clear_refs").write_text("5")
before = mib("VmRSS")
label_map(scores, masks)
print(mib("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 4 < float(done.stdout) < 300


TRUTH = torch.tensor([[0, 0, 255], [7, 0, 7]])


def test_a_label_map_gives_one_region_a_class():
    masks, values = label_regions(TRUTH, ignored=(255,))
    assert values.tolist() == [0, 7]
    assert masks.int().tolist() == [[[1, 1, 0], [0, 1, 0]], [[0, 0, 0], [1, 0, 1]]]


def test_a_map_of_ignored_labels_alone_gives_no_region():
    masks, values = label_regions(torch.full((2, 3), 255), ignored=(255,))
    assert masks.shape == (0, 2, 3)
    assert len(values) == 0
