"""Drawing: pixels and masks from scenes."""

import pytest
import torch
from pretraining.sheet import sheet

from radapter import world
from radapter.world import drawing, shapes


@pytest.mark.parametrize("chunk", [1, 7, 128])
def test_an_image_is_bitwise_the_same_in_every_batch(chunk, monkeypatch):
    scenes = world.sample(2, torch.arange(150))
    images, masks = world.draw(scenes)
    monkeypatch.setattr(drawing, "CHUNK", chunk)
    rows = torch.tensor([149, 3, 77, 78, 79, 0, 12, 31, 8])
    again, masks_again = world.draw(scenes.rows(rows))
    assert torch.equal(again, images[rows])
    assert torch.equal(masks_again, masks[rows])


def test_images_are_bytes_of_the_stated_size_and_not_blank():
    images, masks = world.draw(world.sample(0, torch.arange(70)))
    assert images.shape == (70, 3, 48, 48)
    assert masks.shape == (70, 48, 48)
    assert images.dtype == masks.dtype == torch.uint8
    assert images.flatten(1).float().std(1).min() > 2


def test_every_object_is_in_its_mask():
    scenes = world.sample(0, torch.arange(500), two_objects=0.5)
    _, masks = world.draw(scenes)
    assert ((masks == 1).flatten(1).sum(1) >= 10).all()
    second = (masks == 2).flatten(1).sum(1)
    assert (second[scenes.has_two] >= 10).all()
    assert (second[~scenes.has_two] == 0).all()


def test_mask_covers_the_silhouette():
    scenes = world.sample(0, torch.arange(60), styles=["silhouette"], two_objects=0.0)
    images, masks = world.draw(scenes)
    gray = images.float().mean(1)
    inside = torch.stack([g[m > 0].median() for g, m in zip(gray, masks, strict=True)])
    outside = torch.stack([g[m == 0].median() for g, m in zip(gray, masks, strict=True)])
    assert ((inside - outside).abs() > 20).all()


def test_class_masks_hold_the_classes():
    scenes = world.sample(0, torch.arange(100), two_objects=1.0)
    _, masks = world.draw(scenes)
    classes = world.class_masks(scenes, masks)
    for row in range(100):
        assert set(classes[row].unique().tolist()) <= {0, *(scenes.classes[row] + 1).tolist()}
        assert (classes[row][masks[row] == 2] == scenes.classes[row, 1] + 1).all()


def test_styles_look_different():
    drawn = []
    for style in world.STYLES:
        scenes = world.sample(0, torch.arange(40), styles=[style], two_objects=0.0)
        drawn.append(world.draw(scenes)[0].float())
    for i, first in enumerate(drawn):
        for second in drawn[i + 1 :]:
            assert (first - second).abs().mean() > 10


def test_distance_fields_are_negative_inside_and_classes_differ():
    bank = shapes.bank()
    assert bank.shape == (20, shapes.VARIANTS, 2, shapes.GRID, shapes.GRID)
    inside = (bank[:, :, 0] < 0).flatten(2)  # (classes, variants, points)
    assert inside.float().mean(2).min() > 0.05
    first = inside[:, 0].float()
    overlap = (first @ first.T) / (first.sum(1)[:, None] + first.sum(1) - first @ first.T)
    assert overlap.fill_diagonal_(0).max() < 0.9


def test_polygon_distance_is_that_of_a_box():
    axis = torch.linspace(-2, 2, 21)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    corners = [(-0.52, -0.33), (0.52, -0.33), (0.52, 0.33), (-0.52, 0.33)]
    expected = shapes.box(points, 0, 0, 0.52, 0.33)
    assert torch.allclose(shapes.polygon(points, corners), expected, atol=1e-6)


def test_sheet_shows_every_class_in_every_style():
    assert sheet().shape == (3, 7 * 48, 20 * 48)
