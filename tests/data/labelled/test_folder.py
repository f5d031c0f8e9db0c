"""A folder of class folders."""

import os
from pathlib import Path

import pytest
from PIL import Image

from radapter.data import open_classification
from radapter.data.labelled.class_folders import passed_over
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


@pytest.mark.parametrize("name", ["", "cat", "cat/deep"])
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch, name):
    (tmp_path / "cat" / "deep").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "a.png")
    scandir, listdir = os.scandir, os.listdir

    def refusing(whole):
        def listed(path):
            if Path(path) == tmp_path / name:
                raise PermissionError(13, "Permission denied", str(path))
            return whole(path)

        return listed

    monkeypatch.setattr(os, "scandir", refusing(scandir))
    monkeypatch.setattr(os, "listdir", refusing(listdir))
    with pytest.raises(
        DataError, match=f"every folder of the data must be readable.*{tmp_path / name}'.*denied"
    ):
        open_classification(str(tmp_path))


def test_a_class_folder_whose_name_is_no_text_is_an_error(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / os.fsdecode(b"caf\xe9") / "a.png")
    with pytest.raises(DataError, match=r"names of class folders must be UTF-8.*b'caf\\xe9'. Rename it"):
        open_classification(str(tmp_path))


def test_links_to_folders_below_a_class_are_counted_among_what_is_passed_over(tmp_path):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "more").mkdir()
    (tmp_path / "set" / "cat" / "more").symlink_to(tmp_path / "more")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "more")
    assert passed_over(tmp_path / "set", levels=1) == {"link to a folder": 1}
