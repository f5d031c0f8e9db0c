"""One source as training, validation and test set."""

import datasets
import pytest
from miniatures.layouts import add_images

from radapter.data import open_classification
from radapter.data.dividing import CUTS, divided, siblings_of, split_folders
from radapter.errors import ConfigError, DataError


def test_a_folder_of_classes_is_cut_by_content(tmp_path):
    add_images(tmp_path, "cat/1.png", "train/1.png")  # a train is a class, too
    spec = {"folder": str(tmp_path)}
    assert divided(spec) == {role: {**spec, "part": part} for role, part in CUTS.items()}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Training", "VALIDATION", "Test"),
        ("train", "dev", "testing"),
        ("train", "valid", "test"),
    ],
)
def test_split_folders_are_used_under_each_of_their_names(tmp_path, train, val, test):
    add_images(tmp_path, *(f"{name}/{classname}/1.png" for name in (train, val, test) for classname in "ab"))
    found = divided({"folder": str(tmp_path)})
    assert found == {
        "train": {"folder": str(tmp_path / train)},
        "id_val": {"folder": str(tmp_path / val)},
        "id_test": {"folder": str(tmp_path / test)},
    }


def test_a_missing_split_is_cut_from_training(tmp_path):
    add_images(tmp_path, "train/a/1.png", "test/a/2.png")
    train = {"folder": str(tmp_path / "train")}
    assert divided({"folder": str(tmp_path)}) == {
        "train": {**train, "part": [0.0, 0.9]},
        "id_val": {**train, "part": [0.9, 1.0]},
        "id_test": {"folder": str(tmp_path / "test")},
    }


def test_folders_named_as_splits_that_hold_images_are_classes(tmp_path):
    add_images(tmp_path, "train/1.png", "test/1.png")
    assert split_folders(tmp_path) == {}
    assert open_classification(str(tmp_path)).classnames == ("test", "train")


def test_a_saved_dataset_dict_and_split_files_have_their_own_splits(tmp_path):
    rows = datasets.Dataset.from_dict({"label": ["a"]})
    datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), rows)).save_to_disk(
        tmp_path / "saved"
    )
    saved = divided({"hub": str(tmp_path / "saved")})
    assert [of["split"] for of in saved.values()] == ["train", "validation", "test"]
    assert [of["split"] for of in divided({"coop": "a.json", "images": "."}).values()] == [
        "train",
        "val",
        "test",
    ]
    assert divided({"coop": "a.json", "split": "train"})["id_val"]["part"] == [0.8, 0.9]


def table(folder, *splits, column="split"):
    path = folder / "birds.csv"
    rows = [f"{number}.png;wren;{split}" for number, split in enumerate(splits)]
    path.write_text("\n".join([f"file;species;{column}", *rows]))
    return {"csv": str(path), "image": "file", "label": "species"}


def test_a_table_is_divided_by_its_column_split(tmp_path):
    spec = table(tmp_path, "Train", "train", "val", "dev", "test", column="Split")
    assert divided(spec, labelled=True) == {
        "train": {**spec, "where": {"Split": ["Train", "train"]}},
        "id_val": {**spec, "where": {"Split": ["dev", "val"]}},
        "id_test": {**spec, "where": {"Split": ["test"]}},
    }


def test_a_table_without_a_validation_split_gives_a_tenth_of_training(tmp_path):
    spec = table(tmp_path, "train", "test")
    found = divided(spec, labelled=True)
    assert found["train"] == {**spec, "where": {"split": ["train"]}, "part": [0.0, 0.9]}
    assert found["id_val"] == {**spec, "where": {"split": ["train"]}, "part": [0.9, 1.0]}


@pytest.mark.parametrize("splits", [("train", "train"), ("0", "1"), ("", "")])
def test_a_table_whose_column_split_names_no_other_split_is_cut_by_content(tmp_path, splits):
    spec = table(tmp_path, *splits)
    assert divided(spec, labelled=True) == {role: {**spec, "part": part} for role, part in CUTS.items()}
    chosen = {**table(tmp_path, "train", "test"), "where": {"species": "wren"}}
    assert divided(chosen, labelled=True)["train"] == {**chosen, "part": CUTS["train"]}


@pytest.mark.parametrize("splits", [("train", "test", "holdout"), ("train", "", "test"), ("val", "test")])
def test_a_column_split_with_other_values_is_refused(tmp_path, splits):
    with pytest.raises(ConfigError, match="column 'split' must hold only train and val or test"):
        divided(table(tmp_path, *splits), labelled=True)


def test_shots_are_for_training_alone():
    found = divided({"csv": "t.csv", "shots": 4, "label": "kind"})
    assert [of.get("shots") for of in found.values()] == [4, None, None]
    assert {of["label"] for of in found.values()} == {"kind"}


def test_siblings_of_a_split_are_found_from_each_of_them(tmp_path):
    add_images(tmp_path, "train/a/1.png", "val/a/2.png", "iconic/a/3.png")
    assert siblings_of(str(tmp_path / "val")) == {
        "train": str(tmp_path / "train"),
        "id_val": str(tmp_path / "val"),
    }
    assert siblings_of(str(tmp_path / "iconic")) == {}


def test_a_folder_of_splits_is_refused_as_a_set_with_the_line_that_opens_it(tmp_path):
    add_images(tmp_path, "train/a/1.png", "test/a/2.png")
    with pytest.raises(
        DataError, match=r"holds splits: train, test\. .*data: \{folder: .*radapter data check"
    ):
        open_classification(str(tmp_path))
    assert open_classification({"folder": str(tmp_path), "classes": ["train", "test"]}).classnames == (
        "train",
        "test",
    )


def test_nested_class_folders_are_refused_with_both_readings(tmp_path):
    add_images(tmp_path, "fruit/banana/1.png", "fruit/apple/2.png", "vegetables/leek/3.png")
    with pytest.raises(
        DataError, match=r"fruit/apple\. If apple is a class, use \{layout: domains, .*classes: \[fruit"
    ):
        open_classification(str(tmp_path))
    inner = open_classification({"layout": "domains", "path": str(tmp_path)})
    assert inner.classnames == ("apple", "banana", "leek")
    outer = open_classification({"folder": str(tmp_path), "classes": ["fruit", "vegetables"]})
    assert outer.labels.tolist() == [0, 0, 1]
