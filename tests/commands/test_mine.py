"""`radapter mine`: regions from captions and from masks, what is printed, and what is refused."""

import csv

import numpy as np
import pytest
from PIL import Image
from segmentation import small_proposers

from radapter.data import MinedRegions
from radapter.storage import read_json, write_json
from radapter.world import split

WORLD = "{world: scenes, size: 12}"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def test_captioned_scenes_are_mined(radapter, here):
    answer = radapter("mine", WORLD, "--out", "mined")
    assert answer.code == 0, answer.result.output
    regions = MinedRegions(here / "mined")
    assert 0 < len(regions) < 40
    assert f"{len(regions)} of these have a region with a cosine of at least" in answer.printed
    assert "12 images, 0 of them without a noun" in answer.printed
    assert "train: {mined: mined}" in answer.printed
    with Image.open(here / "mined" / "sheet.png") as sheet:
        assert sheet.width == 10 + 10 * 122


def test_the_same_command_gives_the_same_bytes_and_does_nothing_twice(radapter, here):
    for folder in ("first", "second", "second"):
        assert radapter("mine", WORLD, "--out", folder, "--limit", 8).code == 0
    assert contents(here / "first") == contents(here / "second")
    assert read_json(here / "first" / "sizes.json")["written"]["items"] == [8, 8]


def test_floors_and_nouns_are_the_user_s(radapter, here):
    (here / "nouns.txt").write_text("zorb, car\nstar\n")
    options = ("--floor", "-1", "--margin", "-2", "--nouns", "nouns.txt")
    answer = radapter("mine", "{world: scenes, size: 40}", "--out", "mined", *options)
    assert answer.code == 0, answer.result.output
    regions = MinedRegions(here / "mined")
    assert regions.nouns == ("star", "zorb")
    assert set(regions.counts) == {"star", "zorb"}
    assert "100.0%" in answer.printed
    higher = radapter("mine", "{world: scenes, size: 40}", "--out", "less", *options[2:], "--floor", "0.4")
    assert higher.code == 0
    assert len(MinedRegions(here / "less")) < len(regions)


def test_the_template_and_the_area_change_what_is_found(radapter, here):
    plain = ("mine", WORLD, "--floor", "-1", "--margin", "-2", "--limit", 6)
    for folder, options in {
        "plain": (),
        "template": ("--template", "a sketch of a {}."),
        "area": ("--min-area", "0.5"),
    }.items():
        assert radapter(*plain, "--out", folder, *options).code == 0
    scores = {
        folder: [r["score"] for r in MinedRegions(here / folder).records] for folder in ("plain", "template")
    }
    assert scores["plain"] != scores["template"]
    assert all(r["area"] >= 0.5 * 48 * 48 for r in MinedRegions(here / "area").records)


def test_masked_images_are_cut(radapter, here):
    answer = radapter("mine", "{world: scenes, size: 9}", "--from-masks", "--out", "cut", "--limit", 5)
    assert answer.code == 0, answer.result.output
    regions = MinedRegions(here / "cut")
    assert "background" in regions.nouns
    assert "5 images" in answer.printed
    assert all(record["score"] is None for record in regions.records)


@pytest.fixture
def table(here):
    """A CSV of scenes of which one is no image, and one caption names nothing."""
    world = split("photo", size=4)
    for number, pixels in enumerate(world.images):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(here / f"{number}.png")
    (here / "2.png").write_bytes(b"no image")
    with (here / "pairs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        rows.writerows((f"{n}.png", f"a {world.classnames[label]}") for n, label in enumerate(world.labels))
        rows.writerow(["3.png", "well"])
    return here / "pairs.csv"


def test_a_bad_image_is_named_and_left_out_where_that_is_allowed(radapter, here, table, caplog):
    options = ("--floor", "-1", "--margin", "-2", "--out", "mined")
    refused = radapter("mine", table, *options)
    assert refused.code == 2
    assert "2.png" in refused.said
    answer = radapter("mine", table, *options, "--max-bad", "0.5")
    assert answer.code == 0, answer.result.output
    assert {record["image"][-5:] for record in MinedRegions(here / "mined").records} == {
        "0.png",
        "1.png",
        "3.png",
    }


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((WORLD, "--floor", "0.99"), "Lower --floor"),
        ((WORLD, "--floor", "high"), "--floor must be 'auto' or a number"),
        ((WORLD, "--margin", "nan"), "--margin must be 'auto' or a number"),
        ((WORLD, "--min-area", "1"), "--min-area must be in"),
        ((WORLD, "--nouns", "nowhere.txt"), "'nowhere.txt' is not a file"),
        ((WORLD, "--nouns", "built-in", "--nouns", "spacy:x"), "Give it alone"),
        ((WORLD, "--proposer", "felzenswalb"), "Did you mean 'felzenszwalb'"),
        ((WORLD, "--template", "a photo"), "exactly one '{}'"),
        ((WORLD, "--model", "timm:vit_tiny_patch16_224"), "text tower"),
        ((WORLD, "--from-masks", "--floor", "0.2"), "Got --floor with it"),
        (("scenes", "--from-masks"), "must be a YAML mapping"),
        ((WORLD, "--from-masks", "--min-area", "0.99"), "Lower --min-area"),
        (("nowhere.csv",), "nowhere.csv"),
    ],
)
def test_wrong_input_is_refused_with_a_remedy(radapter, here, arguments, why):
    answer = radapter("mine", *arguments, "--out", "mined")
    assert answer.code == 2, answer.result.output
    assert why in " ".join(answer.said.split())
    assert not (here / "mined").is_dir() or not list((here / "mined").glob("[!.]*"))


def test_captions_without_nouns_are_refused(radapter, here):
    (here / "nouns.txt").write_text("zorb\n")
    answer = radapter("mine", WORLD, "--out", "mined", "--nouns", "nouns.txt")
    assert answer.code == 2
    assert "captions must name nouns" in answer.said
    assert not (here / "mined").exists()


def test_a_list_that_names_a_noun_twice_is_refused(radapter, here):
    (here / "nouns.txt").write_text("car\nstar\ncar\n")
    answer = radapter("mine", WORLD, "--out", "mined", "--nouns", "nouns.txt")
    assert answer.code == 2
    assert "lines 1 and 3" in answer.said


def test_a_folder_of_something_else_is_refused(radapter, here):
    write_json(here / "mined" / "other.json", {})
    answer = radapter("mine", WORLD, "--out", "mined")
    assert answer.code == 2
    assert "holds something else" in " ".join(answer.said.split())


def test_label_values_beyond_the_classes_are_refused(radapter, here):
    for folder in ("images", "labels"):
        (here / folder).mkdir()
        Image.fromarray(np.full((8, 8), 3, np.uint8)).save(here / folder / "a.png")
    answer = radapter(
        "mine", "{masks: labels, images: images, classes: [x, y]}", "--from-masks", "--out", "cut"
    )
    assert answer.code == 2
    assert "3" in answer.said


def test_regions_of_a_transformers_model_are_mined(radapter, here):
    small_proposers.folder(here / "regions", "mask2former")
    options = ("--floor", "-1", "--margin", "-2", "--min-area", "0", "--limit", 2)
    answer = radapter("mine", WORLD, "--out", "mined", "--proposer", "transformers:regions", *options)
    assert answer.code == 0, answer.result.output
    assert len(MinedRegions(here / "mined")) > 0
