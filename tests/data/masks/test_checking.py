"""What is found in a set of masked images."""

import pytest
from miniatures import mask_layouts as miniatures

from radapter.data import open_masks
from radapter.data.masks.checking import look_at_masks


@pytest.fixture
def dataset(tmp_path):
    for number in range(4):
        miniatures.add_pair(
            tmp_path / "images" / f"{number}.png", tmp_path / "masks" / f"{number}.png", [[0, 1, 255, 1]] * 2
        )
    miniatures.add_pair(tmp_path / "images" / "4.png", tmp_path / "masks" / "4.png", [[0, 0]])
    spec = {"masks": str(tmp_path / "masks"), "images": str(tmp_path / "images")}
    return open_masks(spec | {"classes": ["sky", "road", "tree"]})


def test_pixels_and_images_are_counted_per_class(dataset):
    found = look_at_masks(dataset)
    assert (found.images, found.decoded, found.unusable, found.strange) == (5, 5, (), ())
    assert found.pixels == {"sky": 10, "road": 16, "tree": 0}
    assert found.showing == {"sky": 5, "road": 4, "tree": 0}
    assert (found.ignored, found.total) == (8, 34)
    assert (found.widths, found.heights) == ((2, 4), (1, 2))


def test_what_is_no_item_is_a_problem(dataset, tmp_path):
    (tmp_path / "masks" / "0.png").write_bytes(b"no image")
    miniatures.add_pair(tmp_path / "other.png", tmp_path / "masks" / "1.png", [[0, 1, 9, 1]] * 2)
    miniatures.add_pair(tmp_path / "other.png", tmp_path / "masks" / "2.png", [[0]])
    found = look_at_masks(dataset)
    assert found.decoded == 5
    damaged, misfit = found.unusable
    assert "whole file" in damaged
    assert "size of its image" in misfit
    (strange,) = found.strange
    assert "also has 1: 9 (2 pixels)" in strange


def test_a_sample_is_spread_and_copies_are_counted_over_all(dataset, tmp_path):
    (tmp_path / "images" / "3.png").write_bytes((tmp_path / "images" / "0.png").read_bytes())
    steps = []
    found = look_at_masks(dataset.subset(range(5)), sample=2, progress=lambda *step: steps.append(step))
    assert (found.decoded, found.copies, steps) == (2, 0, [(2, 2)])
    fresh = open_masks(
        {"masks": str(tmp_path / "masks"), "images": str(tmp_path / "images"), "classes": ["sky", "road"]}
    )
    assert look_at_masks(fresh, sample=1).copies == 1
