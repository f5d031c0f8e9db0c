"""`radapter data check`: what is found in each layout, what a run would refuse, and the run.yaml that comes out."""

import json
from functools import partial

import pytest
import yaml
from miniatures import layouts
from miniatures.layouts import TENCH, add_images

from radapter.config import load_config
from radapter.data.labelled.layouts import LAYOUTS

pytest.importorskip("open_clip")

_SUBSET = (layouts.imagenet_r, (), 2, 2)
_DOMAINS = (layouts.office_home, (), 2, 5)
EXPECTED = {
    "imagenet": (layouts.imagenet, ("split=val",), 2, 2),
    "imagenet-v2": (layouts.imagenet_v2, (), 3, 4),
    "imagenet-r": _SUBSET,
    "imagenet-a": _SUBSET,
    "imagenet-sketch": _SUBSET,
    "imagenet-c": (layouts.imagenet_c, ("corruption=fog", "severity=3"), 1, 1),
    "objectnet": (layouts.objectnet, (), 2, 3),
    "pacs": _DOMAINS,
    "vlcs": _DOMAINS,
    "office-home": _DOMAINS,
    "domainnet": (layouts.domainnet, ("split=train",), 2, 3),
    "domains": _DOMAINS,
}


@pytest.fixture
def check(radapter, here):
    """`radapter data check`, on `here/set`."""

    def run(*arguments: str):
        return radapter("data", "check", "set", *arguments)

    return run


@pytest.fixture
def refused(refusal, check):
    """What was said of a source that was refused; nothing was written."""
    return partial(refusal, check)


def found(answer) -> dict[str, str]:
    """The table: what -> found."""
    cells = (line.strip().split("  ", 1) for line in answer.printed.partition("Next,")[0].splitlines())
    return {pair[0]: pair[1].strip() for pair in cells if len(pair) == 2}


def proposed(answer) -> dict[str, dict]:
    """The `data` section that was printed."""
    return yaml.safe_load(answer.printed.partition("in run.yaml:")[2])["data"]


def photos(folder, **classes: int):
    """Class folders with as many pictures, no two alike."""
    return add_images(
        folder,
        *(f"{name}/{'x' * number}.png" for name, count in classes.items() for number in range(1, count + 1)),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_counted_and_becomes_a_section_of_run_yaml(check, here, layout):
    make, settings, classes, images = EXPECTED[layout]
    make(here / "set")
    answer = check("--layout", layout, *settings)
    assert answer.code == 0, answer.result.output
    table = found(answer)
    assert table["Classes"].startswith(f"{classes}: ")
    assert (table["Images"], table["Unreadable"]) == (str(images), "0")
    whole = LAYOUTS[layout].classes
    assert table.get("Classes of the whole") == (f"{whole:,}" if whole not in (None, classes) else None)
    roles = proposed(answer)
    assert (list(roles) == ["ood"]) == LAYOUTS[layout].shifted


def test_class_folders_are_counted_per_class_and_cut_into_parts(check, here):
    photos(here / "set", cat=1, dog=4, eel=2)
    answer = check()
    assert found(answer)["Least / median / most of a class"] == "1 (cat) / 2 / 4 (dog)"
    assert found(answer)["Size in pixels"] == "12 wide, 10 high"
    assert found(answer)["Formats"] == "PNG (7)"
    roles = proposed(answer)
    assert roles.pop("ood") == {"corrupted": {"corrupt": "id_test"}}
    assert {role: spec["part"] for role, spec in roles.items()} == {
        "train": [0.0, 0.8],
        "id_val": [0.8, 0.9],
        "id_test": [0.9, 1.0],
    }


def test_what_is_proposed_is_a_valid_configuration(check, here):
    layouts.office_home(here / "set")
    roles = proposed(check("--layout", "office-home"))
    (here / "run.yaml").write_text(yaml.safe_dump({"model": "world:tiny", "data": roles}))
    data = load_config("run.yaml").data
    assert data.train["leave_out"] == "Product"
    assert data.ood == {"Product": {"layout": "office-home", "path": "set", "domain": "Product"}}


def test_groups_are_shown_with_their_images(check, here):
    layouts.office_home(here / "set")
    assert found(check("--layout", "office-home"))["Groups"] == "3: Art (2), Clipart (1), Product (2)"


def test_copies_are_counted_by_content_and_told_where_their_classes_differ(check, here):
    photos(here / "set", cat=2, dog=2)
    first = (here / "set" / "cat" / "x.png").read_bytes()
    for copy in ("cat/copy.png", "dog/copy.png"):
        (here / "set" / copy).write_bytes(first)
    answer = check()
    assert found(answer)["Copies"] == "2 of 6, by content"
    assert "two different classes: 1: set/dog/copy.png and set/cat/copy.png." in " ".join(
        answer.printed.split()
    )


def test_damage_above_what_a_run_accepts_is_shown_and_refused(check, here):
    photos(here / "set", cat=2, dog=3)
    (here / "set" / "dog" / "x.png").write_bytes(b"no image")
    answer = check()
    assert answer.code == 2
    assert found(answer)["Unreadable"] == "1"
    assert "'set/dog/x.png'" in answer.printed
    assert "Of the 5 decoded in 'set' 1 are." in " ".join(answer.said.split())
    assert "Next" not in answer.printed


def test_a_sample_is_spread_over_the_set_and_all_reads_all(here):
    from radapter.data import open_classification
    from radapter.data.labelled.checking import look_at

    photos(here / "set", cat=6, dog=6)
    dataset = open_classification("set")
    told: list[tuple[int, int]] = []
    assert look_at(dataset, sample=4, progress=lambda *step: told.append(step)).decoded == told[-1][1] == 4
    assert look_at(dataset, sample=None).decoded == 12


def test_drawn_pictures_have_no_file(radapter, here):
    answer = radapter("data", "check", "{world: sketch, size: 40}")
    assert (answer.code, found(answer)["Formats"]) == (0, "no file (40)")


def test_a_table_is_read_with_its_columns(radapter, here):
    photos(here / "set", cat=2, dog=2)
    files = sorted((here / "set").rglob("*.png"))
    rows = ["path,species", *(f"{file.relative_to(here)},{file.parent.name}" for file in files)]
    (here / "table.csv").write_text("\n".join(rows))
    answer = radapter("data", "check", "table.csv", "image=path", "label=species")
    assert answer.code == 0, answer.result.output
    assert found(answer)["Classes"] == "2: cat, dog"


def test_one_split_of_coop_is_proposed_as_what_it_is(radapter, here):
    photos(here / "set", cat=2)
    entry = [["cat/x.png", 0, "cat"]]
    (here / "split.json").write_text(json.dumps({"train": entry, "val": entry, "test": entry}))
    answer = radapter("data", "check", "{coop: split.json, images: set, split: test}")
    assert list(proposed(answer)) == ["id_test"]


def test_a_class_without_an_image_is_named(check, here):
    photos(here / "set", cat=2, dog=2)
    answer = check("classes=[cat, dog, eel]")
    assert answer.code == 0, answer.result.output
    assert "Classes without an image: 1: eel." in answer.printed


def test_missing_folder_is_refused(refused):
    assert "'set' does not" in refused()


def test_unknown_layout_proposes_the_nearest(refused, here):
    layouts.imagenet_r(here / "set")
    assert "Got 'imagnet-r'. Did you mean 'imagenet-r'" in refused("--layout", "imagnet-r")


def test_empty_class_folder_is_refused(refused, here):
    (photos(here / "set", cat=2) / "eel").mkdir()
    assert "1 of 2 hold none: 'eel'" in refused()


@pytest.mark.parametrize(
    ("make", "arguments", "said"),
    [
        (layouts.imagenet, ("--layout", "imagenet"), "split must be one of train, val"),
        (layouts.imagenet_r, ("--layout", "imagenet-v2"), "must be named 0 to 999"),
        (layouts.imagenet_r, ("--layout", "pacs"), f"'set/{TENCH}' holds none"),
        (layouts.office_home, ("--layout", "imagenet-r"), "named by WordNet ids"),
        (layouts.imagenet_r, ("--layout", "objectnet"), "ObjectNet needs its own mappings"),
        (layouts.imagenet_r, ("--layout", "imagenet-r", "split=val"), "takes the options wnids. Got 'split'"),
        (layouts.imagenet_c, ("--layout", "imagenet-c"), "needs corruption"),
        (layouts.office_home, ("--layout", "vlcs", "domain=art"), "Did you mean 'Art'"),
        (layouts.imagenet_r, ("part",), "settings must be key=value, such as split=val. Got 'part'."),
        (layouts.imagenet_r, ("prat=[0, 1]",), "Did you mean 'part'"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_with_the_remedy(refused, here, make, arguments, said):
    make(here / "set")
    assert said in refused(*arguments)


def test_a_layout_beside_a_mapping_is_refused(radapter, here):
    answer = radapter("data", "check", "{folder: set}", "--layout", "pacs")
    assert answer.code == 2
    assert "--layout is for a path" in answer.said


def test_the_first_problems_are_three(check, here):
    photos(here / "set", cat=8)
    for file in (here / "set" / "cat").iterdir():
        file.write_bytes(b"no image " + file.name.encode())
    answer = check()
    assert (answer.code, answer.printed.count("must be a whole file")) == (2, 3)
