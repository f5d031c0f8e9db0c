"""`radapter data check`: what is found in each layout, what a run would refuse, and the run.yaml that comes out."""

import json
from functools import partial

import pytest
import yaml
from miniatures import layouts
from miniatures.layouts import TENCH, add_images

from radapter.config import load_config
from radapter.data.labelled.layouts import LAYOUTS
from radapter.data.source import written

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
    """Class folders with as many images, no two alike."""
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
    assert found(answer)["Images per class"] == "from 1 (cat) to 4 (dog), median 2"
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
    assert data.train.leave_out == "Product"
    assert written(data.ood) == {"Product": {"layout": "office-home", "path": "set", "domain": "Product"}}


def test_groups_are_shown_with_their_images(check, here):
    layouts.office_home(here / "set")
    assert found(check("--layout", "office-home"))["Groups"] == "3: Art (2), Clipart (1), Product (2)"


def test_copies_are_counted_by_content_and_listed_where_their_classes_differ(check, here):
    photos(here / "set", cat=2, dog=2)
    first = (here / "set" / "cat" / "x.png").read_bytes()
    for copy in ("cat/copy.png", "dog/copy.png"):
        (here / "set" / copy).write_bytes(first)
    answer = check()
    assert found(answer)["Duplicates"] == "2 of 6, by content"
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
    steps: list[tuple[int, int]] = []
    assert look_at(dataset, sample=4, progress=lambda *step: steps.append(step)).decoded == steps[-1][1] == 4
    assert look_at(dataset, sample=None).decoded == 12


def test_drawn_images_have_no_file(radapter, here):
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


def test_underscores_that_become_spaces_are_printed(check, here):
    photos(here / "set", dog=1, red_bell_pepper=1)
    line = (
        "Underscores in class names become spaces in prompts: red_bell_pepper -> 'red bell pepper' (1 of 2)."
    )
    assert line in " ".join(check().printed.split())


def test_a_photograph_in_place_of_a_folder_is_named_a_file(radapter, here):
    photos(here / "set", cat=1)
    answer = radapter("data", "check", "set/cat/x.png")
    assert answer.code == 2
    assert "'set/cat/x.png' is a file. Give the folder" in " ".join(answer.said.split())


def test_a_single_class_is_warned_of(check, here):
    photos(here / "set", cat=2)
    assert "There is one class, 'cat'" in " ".join(check().printed.split())


def test_imagenet_classes_that_are_renamed_are_printed(check, here):
    add_images(here / "set", "n04008634/a.png", "n04355933/b.png")
    printed = " ".join(check("--layout", "imagenet-sketch").printed.split())
    assert "n04008634 is 'projectile' and n04355933 is 'sunglass'" in printed


def test_parts_are_counted_and_the_classes_that_they_lack_are_named(check, here):
    photos(here / "set", cat=40, dog=1)
    answer = check()
    printed = " ".join(answer.printed.split())
    assert printed.count("images of 1 of 2 classes, none of dog") == 2
    assert "train: " in printed
    assert "data: {folder: set, ood: {corrupted: {corrupt: id_test}}}" in answer.printed


def test_splits_are_recognised_and_proposed(check, here):
    for split, count in {"train": 4, "valid": 2, "test": 3, "iconic": 1}.items():
        photos(here / "set" / split, cat=count, dog=count)
    answer = check()
    assert answer.code == 0, answer.result.output
    roles = proposed(answer)
    assert roles.pop("ood") == {"corrupted": {"corrupt": "id_test"}}
    assert {role: spec["folder"] for role, spec in roles.items()} == {
        "train": "set/train",
        "id_val": "set/valid",
        "id_test": "set/test",
    }
    printed = " ".join(answer.printed.split())
    assert "id_test: 6 images of 2 classes, from {folder: set/test}" in printed
    assert "Not a split: iconic." in printed


def test_the_siblings_of_a_split_are_proposed(radapter, here):
    for split in ("train", "val", "test"):
        photos(here / "set" / split, cat=2, dog=2)
    answer = radapter("data", "check", "set/train")
    assert proposed(answer) == {
        "train": {"folder": "set/train"},
        "id_val": {"folder": "set/val"},
        "id_test": {"folder": "set/test"},
        "ood": {"corrupted": {"corrupt": "id_test"}},
    }


def test_the_splits_of_a_saved_dataset_dict_are_proposed(radapter, here):
    import datasets

    photos(here / "set", cat=2)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    rows = {"image": ["set/cat/x.png", "set/cat/xx.png"], "label": [0, 1]}
    table = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), table)).save_to_disk("saved")
    answer = radapter("data", "check", "saved")
    assert answer.code == 0, answer.result.output
    splits = [spec.get("split") for spec in proposed(answer).values()]
    assert splits == ["train", "validation", "test", None]  # the last are corrupted copies


def test_nested_class_folders_are_refused(refused, here):
    photos(here / "set" / "fruit", banana=2, apple=2)
    photos(here / "set" / "vegetables", leek=2)
    assert "If apple is a class, use {layout: domains, path: set}." in refused()


def test_files_that_are_passed_over_are_counted_by_suffix(radapter, here):
    add_images(here / "set", *(f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(3)))
    for name in ("cat/p.heic", "cat/q.HEIC", "dog/v.jxl", "dog/noext", "dog/.DS_Store"):
        (here / "set" / name).write_bytes(b"x")
    printed = " ".join(radapter("data", "check", "set").printed.split())
    assert "Passed over, not images 4 (.heic 2, .jxl 1, no suffix 1)" in printed


def test_a_class_of_other_files_is_refused_with_their_kind(radapter, refusal, here):
    add_images(here / "set", "cat/1.jpg")
    (here / "set" / "dog").mkdir()
    (here / "set" / "dog" / "1.heic").write_bytes(b"x")
    assert "'dog' has other files: 1 (.heic 1). Convert them to JPEG." in refusal(
        radapter, "data", "check", "set"
    )


def test_the_separator_of_a_table_is_reported(radapter, here):
    add_images(here, "a.jpg", "b.jpg")
    (here / "t.csv").write_text("image;label\na.jpg;cat\nb.jpg;dog\n")
    answer = radapter("data", "check", "t.csv")
    assert answer.code == 0, answer.result.output
    assert "Separator ';'" in " ".join(answer.printed.split())


def test_a_table_of_wrong_paths_prints_three_of_them(radapter, here):
    rows = "".join(f"pictures\\{i}.jpg,{'cat' if i % 2 else 'dog'}\n" for i in range(100))
    (here / "t.csv").write_text("image,label\n" + rows)
    answer = radapter("data", "check", "t.csv")
    said = " ".join(answer.result.output.split())
    assert answer.code == 2
    assert said.count("must exist") + said.count("must be readable") <= 12
    assert "Write paths with '/'" in said
    assert len(answer.result.output.splitlines()) < 60


def test_a_missing_relative_folder_names_the_current_folder(radapter, refusal, here):
    assert f"'photos' does not. The current folder is '{here}'" in refusal(
        radapter, "data", "check", "{folder: photos}"
    )
