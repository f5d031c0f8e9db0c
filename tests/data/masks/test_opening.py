"""From a source to a set of masked images."""

import numpy as np
import pytest
import torch
from miniatures import mask_layouts as miniatures

from radapter import world
from radapter.data import IGNORE, Reading, open_masks
from radapter.errors import ConfigError, DataError

CLASSES = ["sky", "road"]


@pytest.fixture
def folders(tmp_path):
    for number in range(8):
        miniatures.add_pair(
            tmp_path / "images" / f"{number}.png", tmp_path / "masks" / f"{number}.png", [[0, 1, 255, 1]]
        )
    return {"masks": str(tmp_path / "masks"), "images": str(tmp_path / "images"), "classes": CLASSES}


def test_two_folders_are_a_set(folders):
    dataset = open_masks(folders, name="mine")
    assert (dataset.name, len(dataset), dataset.classnames) == ("mine", 8, ("sky", "road"))
    assert dataset[0].labels.tolist() == [[0, 1, IGNORE, 1]]


def test_every_option_of_two_folders_acts(folders, tmp_path):
    (tmp_path / "one.txt").write_text("road\n")
    options = {"classes": str(tmp_path / "one.txt"), "reduce_zero_label": True, "ignore": [255, 9]}
    assert open_masks(folders | options)[0].labels.tolist() == [[IGNORE, 0, IGNORE, 0]]
    assert open_masks(folders | {"exif": "stored"})[0].labels.tolist() == [[0, 1, IGNORE, 1]]


def test_parts_are_disjoint_and_together_the_whole(folders):
    low, high = (open_masks(folders | {"part": part}) for part in ([0.0, 0.5], [0.5, 1.0]))
    assert sorted(low.ids + high.ids) == list(open_masks(folders).ids)
    others = [open_masks(folders | {"part": [0.0, 0.5], "split_seed": seed}).ids for seed in range(1, 6)]
    assert any(other != low.ids for other in others)  # of eight images two splits may be alike by chance


def test_corruption_changes_the_image_alone(folders):
    plain = open_masks(folders)
    corrupt = open_masks(folders | {"corrupt": {"type": "brightness", "severity": 5}})
    assert (np.asarray(plain[0].image) != np.asarray(corrupt[0].image)).any()
    assert (plain[0].labels == corrupt[0].labels).all()
    assert (plain.keys == corrupt.keys).all()


def test_grayscale_takes_the_colour_out(folders):
    pixels = np.asarray(open_masks(folders | {"grayscale": True})[0].image)
    assert (pixels == pixels[..., :1]).all()


def test_a_parquet_file_is_a_set(tmp_path):
    miniatures.camvid_parquet(tmp_path)
    names = [str(number) for number in range(12)]
    dataset = open_masks({"parquet": str(tmp_path / "val.parquet"), "classes": names, "ignore": 255})
    assert (dataset.name, dataset.ids) == ("val", ("0001TP_006690",))
    assert dataset[0].labels[0].tolist() == [0, 1, 10, 11]
    with pytest.raises(ConfigError, match="has no 'label'"):
        open_masks({"parquet": str(tmp_path / "val.parquet"), "mask": "label", "classes": names})


def test_the_world_knows_the_class_of_every_pixel():
    dataset = open_masks({"world": "scenes", "size": 6, "seed": 3, "styles": "photo"})
    drawn = world.split("scenes", seed=3, size=6, styles=["photo"])
    assert dataset.classnames == ("background", *world.CLASSES)
    assert (torch.stack([item.labels for item in dataset]) == drawn.class_masks).all()
    assert (dataset.captions, dataset.name) == (drawn.captions, "scenes photo")
    assert (dataset.keys == drawn.keys).all()
    assert dataset.subset([4]).captions == (drawn.captions[4],)


def test_the_world_without_background_ignores_it():
    with_it, without = (
        open_masks({"world": "photo", "size": 2, "background": background}) for background in (True, False)
    )
    assert without.classnames == world.CLASSES
    # class c becomes c - 1, and background, 0, becomes IGNORE, -1
    assert (without[0].labels == with_it[0].labels - 1).all()


def test_every_option_of_the_world_acts():
    base = {"world": "train", "size": 4}
    plain = open_masks(base)
    for option in ({"seed": 1}, {"correlation": 0.0}, {"difficulty": 0.0}):
        other = open_masks(base | option)
        assert any(
            (a.labels != b.labels).any() or a.image != b.image for a, b in zip(plain, other, strict=True)
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": None}, "'images' is required: the folder of images"),
        ({"classes": None}, "'classes' is required: class names"),
        ({"ignored": 3}, "Did you mean 'ignore'"),
        (
            {"ignore": "255"},
            "ignore must be null or a whole number or a list, each item a whole number. Got '255'",
        ),
        ({"part": [0.5]}, r"part must be \[low, high\)"),
        ({"corrupt": {"type": "mist", "severity": 1}}, "type of corrupt must be"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(folders, change, said):
    with pytest.raises(ConfigError, match=said):
        open_masks(folders | change)


def test_a_source_of_no_kind_is_refused():
    with pytest.raises(ConfigError, match="exactly one of the keys 'masks', 'parquet', 'layout', 'world'"):
        open_masks({"folder": "a"})
    with pytest.raises(ConfigError, match="'path' is required: its folder"):
        open_masks({"layout": "voc-20"})
    with pytest.raises(ConfigError, match="correlation acts on"):
        open_masks({"world": "scenes", "correlation": 0.5})


def test_unreadable_images_are_counted(folders, tmp_path):
    (tmp_path / "images" / "0.png").unlink()
    (tmp_path / "images" / "0.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="Of the 8 in 'images' at least 1 are"):
        open_masks(folders)
    assert len(open_masks(folders, reading=Reading(max_bad=0.5))) == 8


def test_an_empty_part_is_refused(folders):
    with pytest.raises(DataError, match="none is left after part"):
        open_masks(folders | {"part": [0.0, 1e-9]})
