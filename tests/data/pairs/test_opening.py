"""Specifications of pairs: what every source may say, and what is said about the rest."""

import logging

import pytest
import torch
from PIL import Image

from radapter.data import Reading, open_classification, open_pairs
from radapter.errors import ConfigError, DataError, ImageError
from radapter.hashing import uniform


@pytest.fixture
def spec(tmp_path):
    """Twelve images of two captions each; image n is of the colour (20 n, 0, 100)."""
    rows = ["image,caption"]
    for number in range(12):
        Image.new("RGB", (16, 16), (20 * number, 0, 100)).save(tmp_path / f"{number}.png")
        rows += [f"{number}.png,a man on a bench near water {number}", f"{number}.png,view {number}"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    return {"csv": str(tmp_path / "t.csv")}


def test_path_and_mapping_say_the_same(spec):
    first, second = open_pairs(spec["csv"]), open_pairs({**spec, "part": None, "group": None})
    assert first.captions == second.captions
    assert first.keys.tolist() == second.keys.tolist()
    assert first.name == "t"


def test_data_folder_comes_from_the_environment(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("RADAPTER_DATA", str(tmp_path))
    assert len(open_pairs("$RADAPTER_DATA/t.csv", name="other/t")) == 12


def test_the_first_captions_of_each_image_are_kept(spec):
    pairs = open_pairs({**spec, "captions_per_image": 1})
    assert len(pairs.captions) == len(pairs) == 12
    assert pairs.captions[3] == "a man on a bench near water 3"


def test_parts_are_disjoint_whole_and_keep_their_captions(spec):
    parts = [open_pairs({**spec, "part": part}) for part in ([0.0, 0.5], [0.5, 1.0])]
    places = [{part.where(index) for index in range(len(part))} for part in parts]
    assert not places[0] & places[1]
    assert len(places[0] | places[1]) == 12
    for part in parts:
        assert all(
            part.where(int(image)).endswith(f"/{caption.split()[-1]}.png")
            for caption, image in zip(part.captions, part.image_of_caption, strict=True)
        )


def test_split_seed_splits_otherwise(spec):
    keys = [open_pairs({**spec, "part": [0, 0.5], "split_seed": seed}).keys.tolist() for seed in range(3)]
    assert len({tuple(some) for some in keys}) == 3


def test_a_part_that_keeps_nothing_is_refused(spec):
    with pytest.raises(DataError, match=r"Of the 12 in 't' none is left after part"):
        open_pairs({**spec, "part": [0.0, 1e-9]})


def test_paraphrase_says_every_caption_in_other_words(spec):
    pairs = open_pairs({**spec, "paraphrase": True})
    assert pairs.captions[:2] == ("close to water 0, the gentleman on a bench", "view 0")


def test_grayscale_takes_the_colour_out(spec):
    pixel = open_pairs({**spec, "grayscale": True}).image(5).getpixel((0, 0))
    assert pixel == (41, 41, 41)  # 0.299 * 100 + 0.587 * 0 + 0.114 * 100


def test_grey_and_blur_keep_keys_and_captions(spec):
    plain = open_pairs(spec)
    changed = open_pairs({**spec, "grayscale": True, "corrupt": {"type": "defocus_blur", "severity": 3}})
    assert changed.keys.tolist() == plain.keys.tolist()
    assert changed.captions == plain.captions


@pytest.mark.parametrize("kind", ["defocus_blur", "zoom_blur", "gaussian_noise"])
def test_corruptions_act_on_pairs_as_on_labelled_images(tmp_path, kind):
    pixels = (uniform(0, torch.arange(48 * 48), "pixels", 3) * 256).to(torch.uint8).reshape(48, 48, 3)
    (tmp_path / "thing").mkdir()
    Image.fromarray(pixels.numpy()).save(tmp_path / "thing" / "a.png")
    (tmp_path / "t.csv").write_text("image,caption\nthing/a.png,x\n")
    corrupt = {"type": kind, "severity": 2}
    labelled = open_classification({"folder": str(tmp_path), "corrupt": corrupt}).image(0)
    paired = open_pairs({"csv": str(tmp_path / "t.csv"), "corrupt": corrupt}).image(0)
    assert paired.tobytes() == labelled.tobytes()
    assert paired.tobytes() != Image.open(tmp_path / "thing" / "a.png").tobytes()


def test_captions_that_images_share_join_them_unless_that_is_switched_off(spec, tmp_path):
    (tmp_path / "t.csv").write_text("image,caption\n0.png,A  view\n1.png,a view\n2.png,a hill\n")
    assert open_pairs(spec).targets.tolist() == [0, 0, 1]
    assert open_pairs(spec, join=False).targets.tolist() == [0, 1, 2]


def test_classes_are_logged_and_a_large_one_is_warned_about(spec, tmp_path, caplog):
    (tmp_path / "t.csv").write_text("image,caption\n0.png,a view\n1.png,a view\n2.png,a view\n")
    with caplog.at_level(logging.INFO):
        open_pairs(spec, largest=2)
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "WARNING"]
    assert "t: 3 images, 3 captions, 1 shared by several groups, 1 target classes" in caplog.text


def test_an_image_that_is_none_is_an_error_only_when_it_is_asked_for(spec, tmp_path):
    (tmp_path / "3.png").write_bytes(b"no image")
    pairs = open_pairs(spec)
    with pytest.raises(ImageError, match=r"3\.png"):
        pairs.image(3)
    assert pairs.image(4).size == (16, 16)


def test_an_empty_set_is_refused():
    with pytest.raises(ConfigError, match=r"size must be null or a whole number in \[1, 10000000\]. Got 0"):
        open_pairs({"world": "scenes", "size": 0})


def test_pixel_limit_reaches_the_decoder(spec):
    with pytest.raises(DataError, match="at most 255 pixels"):
        open_pairs(spec, reading=Reading(max_pixels=255)).image(0)


def test_scenes_of_the_world_have_several_wordings():
    pairs = open_pairs({"world": "scenes", "size": 12, "seed": 3})
    again = open_pairs({"world": "scenes", "size": 16, "seed": 3}).subset(range(12))
    assert pairs.captions == again.captions
    assert pairs.keys.tolist() == again.keys.tolist()
    assert len(pairs.captions) > 2 * len(pairs)
    assert len(open_pairs({"world": "scenes", "size": 12, "captions_per_image": 1}).captions) == 12


def test_the_first_wording_is_the_worlds_own():
    from radapter import world

    pairs = open_pairs({"world": "scenes", "size": 20, "captions_per_image": 1})
    assert pairs.captions == world.split("scenes", size=20).captions


def test_scenes_of_different_styles_share_none():
    seen = open_pairs({"world": "scenes", "size": 15, "styles": ["photo", "cartoon"]})
    unseen = open_pairs({"world": "scenes", "size": 15, "styles": "sketch", "wording": "full"})
    assert not set(seen.keys.tolist()) & set(unseen.keys.tolist())
    assert all("sketch" in caption for caption in unseen.captions)


def test_class_names_are_captions_of_a_group_each(tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (4, 4), (number, ord(name[0]), 0)).save(tmp_path / name / f"{number}.png")
    pairs = open_pairs({"classification": str(tmp_path), "templates": ["a {}.", "one {}."]})
    assert pairs.captions == ("a ant.", "one ant.") * 2 + ("a bee.", "one bee.") * 2
    assert pairs.groups.tolist() == pairs.targets.tolist() == [0, 0, 1, 1]
    assert pairs.figures.shared_captions == 0
    assert open_pairs({"classification": {"folder": str(tmp_path)}}).captions[0] == "a photo of a ant."


def test_parts_of_class_names_keep_image_and_caption_together(tmp_path):
    spec = {"classification": {"world": "id_test", "size": 40}, "part": [0.3, 0.9]}
    pairs, labelled = (
        open_pairs(spec),
        open_classification({"world": "id_test", "size": 40, "part": [0.3, 0.9]}),
    )
    assert pairs.keys.tolist() == labelled.keys.tolist()
    assert pairs.captions == tuple(
        f"a photo of a {labelled.classnames[c]}." for c in labelled.labels.tolist()
    )
    assert pairs.image(3).tobytes() == labelled.image(3).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"captons_per_image": 1}, "Did you mean 'captions_per_image'"),
        ({"captions_per_image": 0}, "captions_per_image must be null or a whole number >= 1. Got 0"),
        ({"captions_per_image": True}, "captions_per_image must be null or a whole number >= 1. Got True"),
        ({"shots": 4}, "unknown key 'shots'. A csv source takes .*csv, image, caption"),
        ({"paraphrase": "yes"}, "paraphrase must be true or false. Got 'yes'"),
        ({"part": [0.5]}, r"part must be \[low, high\)"),
        ({"split_seed": 1}, "Give part"),
        ({"corrupt": {"type": "gray", "severity": 1}}, "type of corrupt must be one of"),
        ({"world": "scenes"}, "exactly one of the keys"),
    ],
)
def test_wrong_value_names_key_and_requirement(spec, change, message):
    with pytest.raises(ConfigError, match=message):
        open_pairs({**spec, **change})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "exactly one of the keys"),
        ({"kapathy": "x"}, "Did you mean 'karpathy'"),
        ({"karpathy": "x.json"}, "'images' is required: the folder that its paths start at"),
        ({"flickr8k": "x.txt"}, "'images' is required: the folder of the images"),
        ("folder/of/images", r"must end in \.csv.*karpathy"),
        ({"world": "scenes", "wording": "claen"}, "Did you mean 'clean'"),
        ({"world": "scenes", "styles": ["scetch"]}, "Did you mean 'sketch'"),
        ({"world": "train", "styles": ["photo"]}, "Leave styles out"),
        ({"world": "scnes"}, "Did you mean 'scenes'"),
        ({"classification": {"world": "sketch", "size": 5}, "templates": "a photo"}, "a photo"),
    ],
)
def test_wrong_source_names_the_requirement(spec, message):
    with pytest.raises((ConfigError, DataError), match=message):
        open_pairs(spec)
