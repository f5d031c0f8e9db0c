"""Tables as spreadsheets and colleagues write them."""

import pytest

from radapter.data.text_tables import column_names, read_table, separator_of
from radapter.errors import ConfigError, DataError


def written(folder, text: str, *, encoding: str = "utf-8", name: str = "t.csv"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_of_the_first_line(tmp_path, separator):
    path = written(tmp_path, f"image{separator}label\na,b.jpg{separator}cat\n".replace("a,b", "a"))
    assert separator_of(path) == separator
    assert read_table(path, ["label", "image"]) == [["cat"], ["a.jpg"]]


def test_a_comma_in_the_first_line_wins_over_a_semicolon(tmp_path):
    path = written(tmp_path, 'image,"label;old"\na.jpg,x;y\n')
    assert read_table(path, ["label;old"]) == [["x;y"]]


def test_blanks_around_column_names_do_not_count(tmp_path):
    path = written(tmp_path, "image , label\na.jpg,cat\n")
    assert column_names(path) == ["image", "label"]
    assert read_table(path, ["label"]) == [["cat"]]


@pytest.mark.parametrize(("encoding", "named"), [("latin-1", "WINDOWS-1252"), ("utf-16", "UTF-16")])
def test_another_encoding_is_named_with_the_command_that_converts_it(tmp_path, encoding, named):
    path = written(tmp_path, "image,label\na.jpg,Äpfel\n", encoding=encoding)
    with pytest.raises(DataError, match=rf"must be UTF-8 text.*iconv -f {named} -t UTF-8 t.csv"):
        read_table(path, ["label"])


def test_a_missing_column_says_how_to_name_the_others(tmp_path):
    path = written(tmp_path, "filepath,class\na.jpg,cat\n")
    with pytest.raises(ConfigError, match=r"source: \{csv: .*t.csv, image: COLUMN, label: COLUMN\}"):
        read_table(path, ["image", "label"])


def test_rows_with_other_numbers_of_cells_are_counted(tmp_path):
    path = written(tmp_path, "image,label\n" + "a.jpg,cat,x\n" * 7)
    with pytest.raises(DataError, match=r"7 of 7 do not. Row 1 has 3"):
        read_table(path, ["label"])


def test_a_cell_that_is_too_long_is_named_by_its_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"image,caption\na.png,x\n\nb.png,{'y' * 131_073}\n")
    with pytest.raises(DataError, match=r"a\.csv', row 2: field larger.*shorten its cells to 131,072"):
        read_table(path, ["image"])
