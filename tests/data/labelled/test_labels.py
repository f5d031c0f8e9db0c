"""How a source's labels become indices into the training classes."""

import pytest
import torch

from radapter.data.images.sequences import ArrayImages
from radapter.data.labelled.labels import read_classnames, resolve
from radapter.data.labelled.source import LabelledImages
from radapter.errors import ConfigError, DataError


def _source(labels, classnames=None):
    pixels = torch.zeros(len(labels), 3, 2, 2, dtype=torch.uint8)
    return LabelledImages("animals", ArrayImages(pixels, name="animals"), labels, classnames)


def test_names_are_indexed_in_the_training_order():
    resolved = resolve(_source(["cat", "dog", "cat"]), classnames=["dog", "cat"])
    assert resolved.classnames == ("dog", "cat")
    assert resolved.labels.tolist() == [1, 0, 1]


def test_without_training_classes_the_sources_own_are_taken_in_their_order():
    assert resolve(_source(["b", "a"], ("b", "a", "unseen"))).classnames == ("b", "a", "unseen")


def test_without_any_list_names_are_sorted():
    assert resolve(_source(["dog", "ant", "dog"])).classnames == ("ant", "dog")


def test_without_any_list_numbers_are_sorted_as_numbers():
    assert resolve(_source([10, 9, 10])).classnames == ("9", "10")


def test_integers_count_in_the_sources_class_list():
    assert resolve(_source([1, 0], ("1", "0"))).labels.tolist() == [1, 0]


def test_classes_rename_the_sources_own():
    resolved = resolve(_source([1, 0], ("n02", "n01")), classes=["dog", "cat"], classnames=["cat", "dog"])
    assert resolved.labels.tolist() == [0, 1]


def test_integers_without_a_list_are_names_where_the_training_classes_are_numbers():
    assert resolve(_source([7, 3]), classnames=["3", "7"]).labels.tolist() == [1, 0]


def test_integers_without_a_list_count_in_the_training_classes_elsewhere():
    assert resolve(_source([1, 0]), classnames=["cat", "dog"]).labels.tolist() == [1, 0]


def test_test_set_may_hold_a_subset_of_the_classes():
    resolved = resolve(_source(["dog"], ("dog", "unseen")), classnames=["cat", "dog"])
    assert resolved.classnames == ("cat", "dog")
    assert resolved.labels.tolist() == [1]


def test_map_is_many_to_one_and_leaves_other_names():
    mapping = {"sneaker": "shoe", "boot": "shoe"}
    resolved = resolve(_source(["boot", "sneaker", "hat"]), mapping=mapping, classnames=["hat", "shoe"])
    assert resolved.labels.tolist() == [1, 1, 0]


def test_map_to_null_leaves_a_class_out():
    resolved = resolve(_source(["hat", "boot", "hat"]), mapping={"hat": None}, classnames=["boot"])
    assert resolved.rows.tolist() == [1]
    assert resolved.labels.tolist() == [0]


def test_map_without_training_classes_gives_the_mapped_ones():
    mapping = {"boot": "shoe", "hat": None}
    assert resolve(_source(["boot", "hat", "sock"]), mapping=mapping).classnames == ("shoe", "sock")


def test_folder_names_of_imagenet_go_through_the_map():
    source = _source(["n01440764"], ("n01440764",))
    assert resolve(source, mapping={"n01440764": "tench"}, classnames=["tench"]).labels.tolist() == [0]


def test_map_of_integers_is_in_the_sources_numbers():
    resolved = resolve(_source([0, 1]), mapping={"0": "dog", "1": "cat"}, classnames=["cat", "dog"])
    assert resolved.labels.tolist() == [1, 0]


def test_map_of_a_class_the_source_lacks_proposes_the_nearest():
    with pytest.raises(ConfigError, match=r"no class 'sneeker'\. Did you mean 'sneaker'\?"):
        resolve(_source(["sneaker"]), mapping={"sneeker": "shoe"})


def test_classes_the_training_list_lacks_are_named_counted_and_the_map_shown():
    labels = ["ant", "bee", "bee", "cow", "doe", "elk"]
    pattern = r"5: 'ant' \(1 images\), 'bee' \(2 images\), 'cow' \(1 images\) \.\.\..*labels: \{ant: horse\}"
    with pytest.raises(DataError, match=pattern):
        resolve(_source(labels), classnames=["horse"])


def test_lacking_class_proposes_the_nearest_spelling():
    with pytest.raises(DataError, match="Did you mean 'horse'"):
        resolve(_source(["Hors"]), classnames=["horse", "dog"])


def test_map_to_an_unknown_training_class_says_so():
    with pytest.raises(DataError, match="boot, mapped to shoo"):
        resolve(_source(["boot"]), mapping={"boot": "shoo"}, classnames=["shoe"])


def test_integer_outside_the_class_list_is_named_and_counted():
    with pytest.raises(DataError, match=r"\[0, 1\].*2: '-1' \(1 images\), '2' \(2 images\)"):
        resolve(_source([0, 2, -1, 2], ("a", "b")))


def test_name_outside_the_class_list_is_named_and_counted():
    with pytest.raises(DataError, match=r"class list of 1.*1: 'cow' \(1 images\)"):
        resolve(_source(["ant", "cow"]), classes=["ant"])


@pytest.mark.parametrize("label", [None, ""])
def test_row_without_label_is_named(label):
    with pytest.raises(DataError, match=r"must have a label.*1: animals 1 lack"):
        resolve(_source(["ant", label]))


def test_duplicates_in_the_sources_list_are_refused():
    with pytest.raises(DataError, match=r"'animals' repeats 1: 'crane'"):
        resolve(_source([0], ("crane", "ant", "crane")))


def test_class_names_from_a_file_one_a_line(tmp_path):
    (tmp_path / "names.txt").write_text("\ufeffgreen bottle\n\n  côte \n", encoding="utf-8")
    assert read_classnames(tmp_path / "names.txt") == ("green bottle", "côte")


def test_duplicate_class_names_are_counted_with_the_first_three():
    with pytest.raises(DataError, match=r"repeats 4: 'a', 'b', 'c' \.\.\."):
        read_classnames(["a", "b", "c", "d"] * 2)


def test_duplicate_class_names_in_a_file_name_the_file(tmp_path):
    (tmp_path / "names.txt").write_text("a\na\n")
    with pytest.raises(DataError, match=r"names\.txt' repeats 1: 'a'"):
        read_classnames(tmp_path / "names.txt")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\xff"])
def test_empty_or_unreadable_names_file_is_refused(tmp_path, content):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(DataError, match="class names must"):
        read_classnames(tmp_path / "names.txt")


def test_missing_names_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt"):
        read_classnames(tmp_path / "gone.txt")


def test_names_that_differ_in_case_and_spaces_alone_are_refused_with_the_map_that_joins_them():
    with pytest.raises(DataError, match=r"equal: 1: 'Cat' and 'cat' and 'cat '\.") as error:
        resolve(_source(["Cat", "cat ", "dog", "cat"]))
    assert "labels: {'Cat': 'Cat', 'cat': 'Cat', 'cat ': 'Cat'}" in str(error.value)
    mapping = {"cat ": "cat", "Cat": "cat"}
    assert resolve(_source(["Cat", "cat ", "dog", "cat"]), mapping=mapping).labels.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("other", ["Bell_Pepper", "bell  pepper", "ｂｅｌｌ pepper", "bell pepper\u00a0"])  # noqa: RUF001
def test_spellings_of_one_name_are_one_class_across_sets_and_two_within_one(other):
    assert resolve(_source([other]), classnames=["dog", "bell pepper"]).labels.tolist() == [1]
    with pytest.raises(DataError, match="class names must differ"):
        resolve(_source([other, "bell pepper"]))
    with pytest.raises(DataError, match="class names must differ"):
        read_classnames([other, "bell pepper"])


def test_underscores_are_spaces_in_class_names_and_maps_take_both():
    resolved = resolve(_source(["red_bell_pepper", "dog"], ("red_bell_pepper", "dog")))
    assert (resolved.classnames, resolved.given) == (("red bell pepper", "dog"), ("red_bell_pepper", "dog"))
    for key in ("red_bell_pepper", "red bell pepper"):
        assert resolve(_source(["red_bell_pepper"]), mapping={key: "hot_pepper"}).classnames == (
            "hot pepper",
        )


def test_rename_follows_the_map_and_takes_both_spellings():
    rename = {"red bell_pepper": "pepper", "absent": "nothing"}
    resolved = resolve(_source(["red_bell_pepper", "x"]), mapping={"x": "hat"}, rename=rename)
    assert resolved.classnames == ("pepper", "hat")
    assert resolve(_source(["a", "b"]), rename={"a": "b", "b": "a"}).classnames == ("b", "a")


def test_two_names_that_rename_makes_equal_are_refused():
    with pytest.raises(DataError, match=r"equal: 1: 'B' and 'a'\. .*data\.rename is applied"):
        resolve(_source(["a", "B", "c"]), rename={"a": "b"})


def test_classes_that_training_lacks_are_left_out_by_shared_which_is_named_first():
    with pytest.raises(
        DataError, match=r"add `shared: true`.* labels: \{cow: ant\}.* data: \{rename: \{cow: ant\}\}"
    ):
        resolve(_source(["cow", "ant"]), classnames=["ant"])
    assert resolve(_source(["cow", "ant"]), classnames=["ant"], shared=True).rows.tolist() == [1]
