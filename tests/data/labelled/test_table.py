"""CSV and TSV tables with columns that the user names."""

import pytest
from PIL import Image

from radapter.data import Reading, open_classification
from radapter.data.text_tables import read_table
from radapter.errors import ConfigError, DataError


@pytest.fixture
def images(tmp_path):
    """Three images in a folder beside the tables."""
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def _table(folder, name, *lines, encoding="utf-8"):
    (folder / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return str(folder / name)


def test_paths_are_relative_to_the_table(images, monkeypatch):
    monkeypatch.chdir("/")
    path = _table(images, "birds.csv", "file,species", "images/0.png,wren", "images/1.png,crow")
    dataset = open_classification({"csv": path, "image": "file", "label": "species"})
    assert dataset.name == "birds"
    assert dataset.classnames == ("crow", "wren")
    assert dataset.labels.tolist() == [1, 0]
    assert dataset.image(1).getpixel((0, 0)) == (1, 0, 0)


def test_absolute_paths_are_taken_as_they_are(images):
    path = _table(images, "a.csv", "image,label", f"{images / 'images' / '2.png'},crow")
    assert open_classification(path).image(0).getpixel((0, 0)) == (2, 0, 0)


def test_tsv_has_tabs_quotes_and_a_byte_order_mark(images):
    path = _table(images, "a.tsv", "image\tlabel", 'images/0.png\t"a, ""b"""', encoding="utf-8-sig")
    assert open_classification(path).classnames == ('a, "b"',)


def test_integer_labels_count_in_the_given_classes(images):
    path = _table(images, "a.csv", "image,label", "images/0.png,1", "images/1.png,0")
    dataset = open_classification({"csv": path, "classes": ["wren", "crow"]}, classnames=["crow", "wren"])
    assert dataset.labels.tolist() == [0, 1]


def test_numbers_with_leading_zeros_are_names(images):
    path = _table(images, "a.csv", "image,label", "images/0.png,007", "images/1.png,010")
    assert open_classification(path).classnames == ("007", "010")


def test_any_text_columns_can_be_read(tmp_path):
    path = _table(tmp_path, "a.csv", "image,caption,split", 'a.png,"a dog, running",train')
    assert read_table(tmp_path / "a.csv", ["caption", "image"]) == [["a dog, running"], ["a.png"]], path


def test_missing_column_proposes_the_nearest(images):
    path = _table(images, "a.csv", "image,lable", "images/0.png,x")
    with pytest.raises(ConfigError, match=r"image, lable.*no 'label'\. Did you mean 'lable'\?"):
        open_classification(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,label"], "and a row"),
        (["image,label", "a.png"], "Row 1 has 1"),
        (["image,label", "a.png,x,y"], "Row 1 has 3"),
        (["image,label", 'a.png,"x'], "CSV"),
        (["image,label", ",x", "a.png,y", " ,z"], "2 of 3 do not, first rows 1, 3"),
        (["image,label", "images/0.png,"], "must have a label"),
    ],
)
def test_broken_table_says_where(images, lines, message):
    with pytest.raises(DataError, match=message):
        open_classification(_table(images, "a.csv", *lines))


def test_missing_table_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv"):
        open_classification(str(tmp_path / "gone.csv"))


def test_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes("image,label\na.png,Käfer\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        open_classification(str(tmp_path / "a.csv"))


def test_too_many_missing_files_are_refused_when_opened(images):
    rows = ["images/0.png,x", "gone/1.png,x", "gone/2.png,x"]
    with pytest.raises(DataError, match=r"max_bad.*gone/1\.png.*No such file"):
        open_classification(_table(images, "a.csv", "image,label", *rows))


def test_allowed_missing_files_are_left_for_the_loader(images):
    path = _table(images, "a.csv", "image,label", "images/0.png,x", "gone/1.png,x")
    assert len(open_classification(path, reading=Reading(max_bad=0.5))) == 2
