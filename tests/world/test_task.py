"""The fine-tuning task: its splits and their shifts."""

import pytest
import torch

from radapter import world
from radapter.errors import DataError
from radapter.world.scenes import own_attributes

FIRST_KEYS = {"train": 3329230455001760551, "neon": -8810052716453349567, "scenes": 5699388882653586311}


def test_splits_are_deterministic_and_smaller_ones_are_prefixes():
    whole, part = world.split("train", size=100), world.split("train", size=40)
    assert torch.equal(part.images, whole.images[:40])
    assert torch.equal(part.keys, whole.keys[:40])
    assert part.captions == whole.captions[:40]


def test_splits_share_no_scene():
    keys = [key for name in world.SPLITS for key in world.split(name, size=40).keys.tolist()]
    assert len(set(keys)) == 40 * len(world.SPLITS)


def test_labels_are_balanced_and_name_the_first_object():
    drawn = world.split("id_val", size=100)
    assert torch.bincount(drawn.labels).tolist() == [5] * 20
    assert all(world.CLASSES[y] in text for y, text in zip(drawn.labels, drawn.captions, strict=True))
    assert drawn.classnames == world.CLASSES


@pytest.mark.parametrize("name", ["train", "id_val", "id_test", "photo", "corrupted", "sketch"])
def test_only_id_splits_are_correlated(name):
    drawn = world.split(name, size=600, correlation=0.8)
    own = own_attributes(drawn.labels)[0] == drawn.scenes.colour[:, 0]
    expected = 0.82 if name in ("train", "id_val", "id_test") else 0.1
    assert own.float().mean().item() == pytest.approx(expected, abs=0.06)


def test_ood_splits_show_their_style():
    for name in world.OOD:
        style = name if name in world.STYLES else "photo"
        assert set(world.split(name, size=20).scenes.style.tolist()) == {world.STYLES.index(style)}


def test_corrupted_images_differ_from_plain_ones_and_keep_their_masks():
    drawn = world.split("corrupted", size=300)
    clean, masks = world.draw(drawn.scenes)
    assert torch.equal(masks, drawn.masks)
    assert ((clean.float() - drawn.images).abs().flatten(1).mean(1) > 0.5).float().mean() > 0.95
    assert torch.equal(world.split("corrupted", size=30).images, drawn.images[:30])


def test_scenes_split_has_two_objects_and_class_masks():
    drawn = world.split("scenes", size=100)
    assert drawn.scenes.has_two.sum() > 10
    assert drawn.class_masks.max() <= len(world.CLASSES)
    assert len(set(drawn.scenes.style.tolist())) == len(world.STYLES)


@pytest.mark.parametrize("name", list(world.KEPT))
def test_kept_tasks_are_photos_and_cartoons_of_every_class_at_ordinary_difficulty(name):
    drawn = world.split(name, size=80)
    photos = drawn.scenes.style == world.STYLES.index("photo")
    assert (photos.sum().item(), drawn.scenes.has_two.any().item()) == (40, False)
    assert set(drawn.scenes.style[~photos].tolist()) == {world.STYLES.index("cartoon")}
    assert torch.bincount(drawn.scenes.classes[photos, 0]).tolist() == [2] * 20
    assert torch.equal(drawn.images, world.split(name, size=80, difficulty=1.0).images)


def test_kept_tasks_are_labelled_by_colour_and_by_pattern():
    colour, pattern = world.split("colour", size=60), world.split("pattern", size=60)
    assert (colour.classnames, pattern.classnames) == (tuple(world.COLOURS), world.PATTERNS)
    assert torch.equal(colour.labels, colour.scenes.colour[:, 0])
    assert torch.equal(pattern.labels, pattern.scenes.pattern)


def test_later_splits_leave_the_scenes_of_earlier_ones_unchanged():
    first = {name: world.split(name, size=1).keys.item() for name in ("train", "neon", "scenes")}
    assert first == FIRST_KEYS  # of the published figures


def test_unknown_split_names_the_nearest():
    with pytest.raises(DataError, match="'sketch'"):
        world.split("skech")


@pytest.mark.parametrize("wrong", [{"size": -1}, {"correlation": 1.5}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(DataError, match="must be"):
        world.split("train", **wrong)


def test_scenes_of_chosen_styles_are_those_of_all_scenes():
    some, everything = (
        world.split("scenes", size=6, styles=("sketch", "neon")),
        world.split("scenes", size=60),
    )
    chosen = [world.STYLES[style] for style in some.scenes.style.tolist()]
    assert set(chosen) <= {"sketch", "neon"}
    wanted = [
        key
        for key, style in zip(everything.keys.tolist(), everything.scenes.style.tolist(), strict=True)
        if world.STYLES[style] in ("sketch", "neon")
    ]
    assert some.keys.tolist() == wanted[:6]
    assert world.split("scenes", size=3, styles=("sketch", "neon")).captions == some.captions[:3]


@pytest.mark.parametrize(
    ("name", "styles", "message"),
    [
        ("scenes", ["scetch"], "Did you mean 'sketch'"),
        ("scenes", [], "must be among"),
        ("train", ["photo"], "Leave"),
    ],
)
def test_wrong_styles_are_refused(name, styles, message):
    with pytest.raises(DataError, match=message):
        world.split(name, size=1, styles=styles)
