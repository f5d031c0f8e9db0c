"""`radapter data check` of masked images."""

import pytest
import yaml
from miniatures import mask_layouts as miniatures

from radapter.data.masks.layouts import LAYOUTS

MAKERS = {
    "ade20k-150": (miniatures.ade20k_150, ()),
    "ade20k-847": (miniatures.ade20k_847, ("classes=set/names.txt",)),
    "pascal-context-59": (miniatures.pascal_context_59, ()),
    "pascal-context-59-ovseg": (miniatures.pascal_context_59_ovseg, ()),
    "pascal-context-459": (miniatures.pascal_context_459, ()),
    "voc-20": (miniatures.voc_20, ()),
    "cityscapes": (miniatures.cityscapes, ()),
    "coco-stuff-171": (miniatures.coco_stuff_171, ()),
    "camvid": (miniatures.camvid, ()),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(answer) -> dict[str, str]:
    """The tables: what or class -> the rest of the row."""
    cells = (line.strip().split("  ", 1) for line in answer.printed.partition("Next,")[0].splitlines())
    return {pair[0]: " ".join(pair[1].split()) for pair in cells if len(pair) == 2}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_counted_and_becomes_a_section_of_run_yaml(radapter, here, layout):
    make, settings = MAKERS[layout]
    make(here / "set")
    answer = radapter("data", "check", "set", "--layout", layout, *settings)
    assert answer.code == 0, answer.result.output
    table = found(answer)
    assert table["Classes"].startswith(f"{LAYOUTS[layout].classes}: ")
    assert (table["Images"], table["Unusable"], table["Masks with other values"]) == ("1", "0", "0")
    section = yaml.safe_load(answer.printed.partition("in run.yaml:")[2])
    assert section["task"] == "segmentation"
    roles = section["data"]
    assert roles["id_test"]["layout"] == layout


def test_each_class_has_its_share_of_pixels_and_its_images(radapter, here):
    miniatures.camvid(here / "set")
    table = found(radapter("data", "check", "set", "--layout", "camvid", "split=test"))
    assert (table["road"], table["sky"]) == ("72.73% 1", "9.09% 1")  # 8 and 1 of 11 pixels with a class
    assert table["Pixels of no class"] == "8.3%"
    assert table["Classes not seen"] == "7: pole, pavement, tree"


def test_two_folders_are_checked_from_a_mapping(radapter, here):
    miniatures.camvid(here / "set")
    answer = radapter(
        "data", "check", "{images: set/val, masks: set/valannot, classes: [a, b, c, d], ignore: [10, 11]}"
    )
    assert answer.code == 0, answer.result.output
    assert found(answer)["d"] == "80.00% 1"


def test_the_world_is_checked_with_its_masks(radapter):
    answer = radapter("data", "check", "{world: scenes, size: 5, background: true}")
    assert answer.code == 0, answer.result.output
    assert found(answer)["Size in pixels"] == "48 wide, 48 high"


def test_many_classes_are_summed_in_a_last_row(radapter, here):
    miniatures.camvid(here / "set")
    values = [[4 * row + column for column in range(8)] for row in range(8)]
    miniatures.add_pair(here / "set/val/0001TP_006690.png", here / "set/valannot/0001TP_006690.png", values)
    names = ", ".join(f"c{number}" for number in range(40))
    answer = radapter("data", "check", f"{{images: set/val, masks: set/valannot, classes: [{names}]}}")
    assert "11 others" in found(answer)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ([[0, 1, 99, 1]] * 3, "Of the 1 masks decoded in 'set val' 1 hold others"),
        ([[0, 1]], "Of the 1 decoded in 'set val' 1 are"),
    ],
)
def test_what_a_run_would_refuse_exits_2_and_shows_why(radapter, here, mask, said):
    miniatures.camvid(here / "set")
    miniatures.add_pair(here / "other.png", here / "set/valannot/0001TP_006690.png", mask)
    answer = radapter("data", "check", "set", "--layout", "camvid")
    assert answer.code == 2
    assert said in " ".join(answer.said.split())
    assert "set/valannot/0001TP_006690.png" in answer.printed
    assert "Next" not in answer.printed


def test_an_empty_mask_folder_exits_2(radapter, here):
    miniatures.camvid(here / "set")
    (here / "set/valannot/0001TP_006690.png").unlink()
    answer = radapter("data", "check", "set", "--layout", "camvid")
    assert answer.code == 2
    assert "mask folder must hold mask files" in " ".join(answer.said.split())


def test_an_unknown_layout_proposes_the_nearest_of_both_tables(radapter, here):
    answer = radapter("data", "check", "set", "--layout", "cityscape")
    assert answer.code == 2
    assert "Did you mean 'cityscapes'" in answer.said


def test_underscores_that_become_spaces_are_printed(radapter, here):
    miniatures.camvid(here / "set")
    classes = "classes: [traffic_light, b, c, d], ignore: [10, 11]"
    answer = radapter("data", "check", f"{{images: set/val, masks: set/valannot, {classes}}}")
    assert "traffic_light -> 'traffic light' (1 of 4)" in " ".join(answer.printed.split())
