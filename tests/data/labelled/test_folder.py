"""A folder of class folders."""

import pytest
from PIL import Image

from radapter.data import open_classification
from radapter.errors import DataError


def _add(root, *names):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(root / name)


def test_folder_names_are_the_sorted_class_names(tmp_path):
    _add(tmp_path, "dog/1.png", "ant/1.jpg", "ant/deeper/2.PNG")
    dataset = open_classification(str(tmp_path))
    assert dataset.classnames == ("ant", "dog")
    assert dataset.labels.tolist() == [0, 0, 1]
    assert [dataset.where(i).removeprefix(str(tmp_path)) for i in range(3)] == [
        "/ant/1.jpg",
        "/ant/deeper/2.PNG",
        "/dog/1.png",
    ]
    assert dataset.image(2).getpixel((0, 0)) == (0, 0, 0)


def test_hidden_and_other_files_are_left_out(tmp_path):
    _add(tmp_path, "dog/1.png", "dog/._2.png", ".cache/3.png", "__MACOSX/4.png", "dog/.thumbs/5.png")
    (tmp_path / "dog" / "notes.txt").write_text("x")
    (tmp_path / "readme.md").write_text("x")
    assert len(open_classification({"folder": str(tmp_path)})) == 1


def test_empty_class_folders_are_counted_with_the_first_three(tmp_path):
    _add(tmp_path, "dog/1.png")
    for name in "abcd":
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"4 of 5 hold none: 'a', 'b', 'c' \.\.\."):
        open_classification(str(tmp_path))


def test_folder_without_class_folders_is_refused(tmp_path):
    _add(tmp_path, "1.png")
    with pytest.raises(DataError, match="one folder for each class"):
        open_classification(str(tmp_path))


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"must exist.*gone"):
        open_classification(str(tmp_path / "gone"))


def test_adding_a_file_moves_no_other_between_parts(tmp_path):
    _add(tmp_path, *(f"dog/{number}.png" for number in range(40)))
    spec = {"folder": str(tmp_path), "part": [0.0, 0.5]}
    before = {open_classification(spec).where(i) for i in range(len(open_classification(spec)))}
    Image.new("RGB", (4, 4), (0, 200, 0)).save(tmp_path / "dog" / "00 first.png")
    dataset = open_classification(spec)
    assert before == {dataset.where(i) for i in range(len(dataset)) if "first" not in dataset.where(i)}
