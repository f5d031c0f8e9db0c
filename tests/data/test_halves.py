"""The base and the novel half of a class list."""

import pytest
from PIL import Image

from radapter.data import open_classification
from radapter.errors import ConfigError, DataError

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")


@pytest.fixture
def folder(tmp_path):
    """Seven classes of two images."""
    for place, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (4, 4), (number, place, 0)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_of_seven_classes_four_are_base_and_three_novel(folder):
    base, novel = (open_classification({"folder": str(folder), "half": half}) for half in ("base", "novel"))
    assert base.classnames == NAMES[:4]
    assert novel.classnames == NAMES[4:]
    assert novel.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert not set(base.keys.tolist()) & set(novel.keys.tolist())


def test_a_test_set_is_halved_as_the_training_set(folder):
    base = open_classification({"folder": str(folder), "half": "base"})
    again = open_classification({"folder": str(folder), "half": "base"}, classnames=base.classnames)
    assert again.labels.tolist() == base.labels.tolist()
    with pytest.raises(DataError, match="must be among the 4 training classes"):
        open_classification({"folder": str(folder), "half": "novel"}, classnames=base.classnames)


def test_classes_that_the_map_joins_or_drops_are_halved_afterwards(folder):
    labels = {"ant": "insect", "bee": "insect", "gnu": None}
    base = open_classification({"folder": str(folder), "labels": labels, "half": "base"})
    assert base.classnames == ("insect", "cat", "dog")


def test_integer_labels_are_halved_in_the_order_of_the_list(folder):
    rows = "".join(f"{name}/0.png,{place}\n" for place, name in enumerate(NAMES))
    (folder / "all.csv").write_text("image,label\n" + rows)
    spec = {"csv": str(folder / "all.csv"), "classes": list(reversed(NAMES)), "half": "novel"}
    assert open_classification(spec).classnames == ("cat", "bee", "ant")


def test_without_a_class_list_there_is_nothing_to_halve(folder):
    (folder / "some.csv").write_text("image,label\nant/0.png,ant\nbee/0.png,bee\n")
    with pytest.raises(ConfigError, match=r"whole class list\. 'some' has none\. Give it as classes"):
        open_classification({"csv": str(folder / "some.csv"), "half": "base"})


def test_one_class_has_no_halves(folder):
    with pytest.raises(ConfigError, match="at least two classes"):
        open_classification({"folder": str(folder), "labels": dict.fromkeys(NAMES[1:]), "half": "base"})


def test_an_unknown_half_proposes_the_nearest(folder):
    with pytest.raises(ConfigError, match=r"one of 'base', 'novel'\. Got 'novle'\. Did you mean 'novel'"):
        open_classification({"folder": str(folder), "half": "novle"})
