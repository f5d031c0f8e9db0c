"""A source is the same whether it is a path, a mapping or an object of its kind, and whoever gives it."""

import pytest
import yaml
from PIL import Image

from radapter.config import load_config
from radapter.data import open_classification, open_masks, open_pairs
from radapter.data.labelled.folder import FolderSource
from radapter.data.labelled.kinds import LABELLED, labelled_source
from radapter.data.labelled.tables import CsvSource
from radapter.data.masks.kinds import MASKS
from radapter.data.pairs.kinds import PAIRS, pair_source
from radapter.data.pairs.world import PairWorldSource
from radapter.data.regions import REGIONS
from radapter.errors import ConfigError

ALL = [*LABELLED, *PAIRS, *MASKS, *REGIONS]
TASKS = {"classification": open_classification, "retrieval": open_pairs, "segmentation": open_masks}


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("ant", "bee")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / name / "a.png")
    return str(tmp_path)


def in_run_yaml(folder, task, source):
    """What run.yaml says of a source of data.id_val, without its place."""
    (folder / "run.yaml").write_text(
        yaml.safe_dump(
            {
                "task": task,
                "model": "world:tiny",
                "data": {
                    "train": {"from_masks": {"world": "train"}}
                    if task == "segmentation"
                    else {"world": "train"},
                    "id_val": source,
                    "id_test": {"world": "id_test"},
                },
            }
        )
    )
    with pytest.raises(ConfigError) as caught:
        load_config(folder / "run.yaml")
    return str(caught.value).partition("yaml")[2].partition(": ")[2]


def test_a_path_a_mapping_and_an_object_are_one_source(folder):
    opened = [open_classification(spec).keys.tolist() for spec in (folder, {"folder": folder})]
    assert opened == [open_classification(FolderSource(folder=folder)).keys.tolist()] * 2


def test_an_object_is_taken_as_it_is():
    source = PairWorldSource(world="scenes", size=3, styles=["photo"])
    assert pair_source(source) is source
    assert len(open_pairs(source)) == 3


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_the_key_of_a_kind_is_required_and_selects_it(kind):
    assert kind.model_fields[kind.key()].is_required()
    assert [other for other in ALL if other.__bases__ == kind.__bases__ and other.key() == kind.key()] == [
        kind
    ]


def test_a_kind_tells_the_keys_that_were_given_and_no_others():
    source = CsvSource.model_validate({"part": [0, 0.5], "csv": "a.csv", "image": "image"})
    assert source.given() == {"part": (0.0, 0.5), "csv": "a.csv", "image": "image"}
    changed = source.replaced(label="species")
    assert changed.given() == {**source.given(), "label": "species"}


def test_null_is_the_default_of_every_key_and_no_kind():
    source = labelled_source({"csv": "a.csv", "folder": None, "image": None, "group": None, "part": None})
    assert (source.image, source.group, source.part) == ("image", None, None)


def test_tuples_of_python_are_lists():
    source = labelled_source({"world": "train", "classes": ("a", "b"), "part": (0, 1)})
    assert source.classes == ["a", "b"]


@pytest.mark.parametrize(
    ("task", "source", "said"),
    [
        ("classification", {"world": "train", "sed": 1}, "unknown key '{}sed'. Did you mean '{}seed'?"),
        ("classification", {"world": "train", "size": 0}, "{}size must be null or a whole number in [1, "),
        ("classification", {"world": "train", "shots_seed": 1}, "Give shots, or leave shots_seed out."),
        ("classification", {"layout": "pacs"}, "'{}path' is required: its folder."),
        ("classification", {"layout": "pasc", "path": "p"}, "Got 'pasc'. Did you mean 'pacs'"),
        ("classification", {"fodler": "a"}, "'shards'. Got {{'fodler': 'a'}}. Did you mean 'folder'?"),
        ("retrieval", {"world": "train", "wording": "claen"}, "Got 'claen'. Did you mean 'clean'?"),
        (
            "retrieval",
            {"classification": {"folder": "a", "shot": 1}},
            "Did you mean '{}classification.shots'?",
        ),
        ("retrieval", {"csv": "a.csv", "corrupt": {"type": "fgo", "severity": 1}}, "Did you mean 'fog'"),
        (
            "segmentation",
            {"world": "train", "correlation": 2},
            "{}correlation must be null or a number in [0, 1]",
        ),
    ],
)
def test_run_yaml_and_python_say_the_same_of_a_wrong_source(tmp_path, task, source, said):
    with pytest.raises(ConfigError) as caught:
        TASKS[task](source)
    assert said.format("", "") in str(caught.value)
    assert said.format("data.id_val.", "data.id_val.") in in_run_yaml(tmp_path, task, source)


def test_all_mistakes_of_a_source_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        open_classification({"world": "train", "sed": 1, "size": 0, "shots": 0})
    assert str(caught.value).count("\n") == 2


def test_masked_scenes_take_in_run_yaml_what_they_take_in_python(tmp_path):
    source = "{world: id_test, correlation: 0.5, difficulty: 1}"
    (tmp_path / "run.yaml").write_text(
        f"task: segmentation\nmodel: world:tiny\ndata: {{train: {{from_masks: {source}}}, id_val: {source}, "
        f"id_test: {source}}}\n"
    )
    data = load_config(tmp_path / "run.yaml").data
    assert data.id_val.given() == {"world": "id_test", "correlation": 0.5, "difficulty": 1}
    assert open_masks(data.id_val.replaced(size=2))[0].image.size == (48, 48)
