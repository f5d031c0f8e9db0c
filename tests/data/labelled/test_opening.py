"""Specifications: what may stand in them, and what is said about the rest."""

import pytest
from PIL import Image

from radapter.data import Reading, open_classification
from radapter.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path):
    """Two classes of eight images."""
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(8):
            Image.new("RGB", (4, 4), (number, len(name) + ord(name[0]), 0)).save(
                tmp_path / name / f"{number}.png"
            )
    return tmp_path


def test_path_and_mapping_say_the_same(folder):
    first, second = (
        open_classification(str(folder)),
        open_classification({"folder": str(folder), "part": None}),
    )
    assert first.keys.tolist() == second.keys.tolist()


def test_name_overrides_the_sources(folder):
    assert open_classification(str(folder), name="ood/insects").name == "ood/insects"


def test_data_folder_comes_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("RADAPTER_DATA", str(folder.parent))
    assert len(open_classification(f"$RADAPTER_DATA/{folder.name}")) == 16


@pytest.mark.parametrize("path", ["$NOPE_DATA/insects", "${NOPE_DATA}/insects"])
def test_a_variable_that_is_not_set_is_named_with_how_to_set_it(path, monkeypatch):
    monkeypatch.delenv("NOPE_DATA", raising=False)
    with pytest.raises(ConfigError, match=r"\$NOPE_DATA is not\. Set it: export NOPE_DATA="):
        open_classification(path)


def test_a_folder_may_have_a_dollar_in_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "$insects").mkdir()
    for name in ("ant", "bee"):
        (folder / name).rename(folder / "$insects" / name)
    assert len(open_classification("$insects")) == 16


def test_parts_are_disjoint_and_whole(folder):
    parts = [open_classification({"folder": str(folder), "part": p}) for p in ([0.0, 0.5], [0.5, 1.0])]
    places = [{part.where(i) for i in range(len(part))} for part in parts]
    assert not places[0] & places[1]
    assert len(places[0] | places[1]) == 16


def test_split_seed_splits_otherwise(folder):
    spec = {"folder": str(folder), "part": [0, 0.5]}
    keys = [open_classification({**spec, "split_seed": seed}).keys.tolist() for seed in range(3)]
    assert keys[0] == open_classification(spec).keys.tolist()
    assert len({tuple(some) for some in keys}) == 3


def test_class_names_may_come_from_a_file(folder, tmp_path_factory):
    names = tmp_path_factory.mktemp("names") / "names.txt"
    names.write_text("bee\nant\n")
    assert open_classification(str(folder), classnames=names).classnames == ("bee", "ant")


def test_map_may_have_numbers_as_keys(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("image,label\na.png,0\n")
    spec = {"csv": str(tmp_path / "a.csv"), "labels": {0: "dog"}}
    assert open_classification(spec, classnames=["cat", "dog"]).labels.tolist() == [1]


def test_progress_is_reported(folder):
    steps = []
    open_classification(
        str(folder), reading=Reading(progress=lambda done, total: steps.append((done, total)))
    )
    assert steps == [(16, 16)]


def test_unknown_key_proposes_the_nearest(folder):
    with pytest.raises(ConfigError, match=r"'lables'\. Did you mean 'labels'"):
        open_classification({"folder": str(folder), "lables": {}})


def test_unknown_source_proposes_the_nearest():
    with pytest.raises(ConfigError, match=r"exactly one of the keys .*Did you mean 'folder'"):
        open_classification({"foldr": "x"})


@pytest.mark.parametrize("spec", [{}, {"folder": "a", "csv": "b"}, {"folder": None}, {"part": [0, 1]}])
def test_no_source_or_two_are_refused(spec):
    with pytest.raises(ConfigError, match="exactly one of the keys"):
        open_classification(spec)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("part", 0.5, r"part must be \[low, high\) with 0 <= low < high <= 1. Got 0.5"),
        ("part", [0.5], r"part must be \[low, high\)"),
        ("part", [0.5, 0.2], "0 <= low < high"),
        ("part", "01", r"part must be \[low, high\)"),
        ("labels", ["a"], "labels must be null or a mapping of class names"),
        ("classes", 3, "classes must be null or text or a list, each item text. Got 3"),
        ("classes", ["ant", "ant"], "repeats 1: 'ant'"),
        ("split_seed", 1, "Give part"),
        ("split_seed", True, "split_seed must be a whole number. Got True"),
        ("image", "a", "unknown key 'image'. A folder source takes part, .*folder"),
    ],
)
def test_wrong_value_names_key_and_requirement(folder, key, value, message):
    with pytest.raises((ConfigError, DataError), match=message):
        open_classification({"folder": str(folder), key: value})


def test_part_that_keeps_nothing_is_refused(folder):
    with pytest.raises(DataError, match=r"Of the 16 .* none is left"):
        open_classification({"folder": str(folder), "part": [0.0, 1e-9]})


def test_map_that_drops_everything_is_refused(folder):
    with pytest.raises(DataError, match="none is left"):
        open_classification({"folder": str(folder), "labels": {"ant": None, "bee": None}})


def test_pixel_limit_reaches_the_decoder(folder):
    with pytest.raises(DataError, match="at most 15 pixels"):
        open_classification(str(folder), reading=Reading(max_pixels=15)).image(0)


def test_impossible_pixel_limit_is_refused(folder):
    with pytest.raises(ConfigError, match="max_pixels"):
        open_classification(str(folder), reading=Reading(max_pixels=0))
