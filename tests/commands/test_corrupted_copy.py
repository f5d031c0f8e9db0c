"""`ood: {corrupted: {corrupt: id_test}}`: a shifted test set in one line, for every task."""

import pytest
import torch

import radapter
from radapter.config import load_config, resolved_yaml
from radapter.config.building import shifted_sources, suite_of
from radapter.data import open_classification
from radapter.data.labelled.kinds import labelled_source
from radapter.data.source import written
from radapter.errors import ConfigError, DataError
from radapter.tasks.leaks import check_disjoint

SCENES = "{world: scenes, styles: photo, background: false, size: 6, seed: %d}"
PAIRS = "{world: scenes, styles: photo, size: 6, seed: %d}"
DATA = {
    "classification": "train: {world: train, size: 6}, id_test: {world: id_test, size: 40}",
    "retrieval": f"train: {PAIRS % 0}, id_test: {PAIRS % 1}",
    "segmentation": f"train: {{from_masks: {SCENES % 0}}}, id_test: {SCENES % 1}",
}


@pytest.fixture
def config(tmp_path):
    """A configuration with these data and overrides."""

    def loaded(data, *overrides, task="classification"):
        file = tmp_path / "run.yaml"
        file.write_text(f"task: {task}\nmodel: world:tiny\nselect: {{alpha: 1.0}}\ndata: {{{data}}}\n")
        return load_config(file, overrides)

    return loaded


@pytest.mark.parametrize("task", DATA)
def test_one_line_gives_every_task_a_corrupted_copy_of_its_test_set(config, task):
    loaded = config(DATA[task], "data.ood={corrupted: {corrupt: id_test}}", task=task)
    suite = suite_of(loaded, radapter.load("world:tiny"))
    original, copy = suite.id_test["id_test"], suite.ood["corrupted"]
    assert torch.equal(copy.keys, original.keys)
    assert all(copy.image(index) != original.image(index) for index in range(len(copy)))
    check_disjoint(suite)  # images of a test set are no leak of training


def test_the_copy_is_the_mix_at_severity_3_by_default(config):
    def image(options):
        loaded = config(DATA["classification"], f"data.ood={{c: {{corrupt: id_test{options}}}}}")
        return suite_of(loaded, radapter.load("world:tiny")).ood["c"].image(0)

    source = {"world": "id_test", "size": 40, "corrupt": {"type": "mixed", "severity": 3}}
    assert image("") == open_classification(source).image(0)
    assert image("") != image(", severity: 5") != image(", severity: 5, type: fog")


def test_a_path_can_be_copied(config, tmp_path):
    image = open_classification({"world": "id_test", "size": 1}).image(0)
    (tmp_path / "set" / "cat").mkdir(parents=True)
    image.save(tmp_path / "set" / "cat" / "1.png")
    data = f"train: {{world: train, size: 6}}, classnames: [cat], id_test: {tmp_path / 'set'}"
    loaded = config(
        data, "data.ood={c: {corrupt: id_test}}", "data.train={world: train, size: 6, labels: {}}"
    )
    shifted = shifted_sources(loaded.data.ood, loaded.data.id_test, labelled_source)
    assert shifted["c"].given() == {
        "folder": str(tmp_path / "set"),
        "corrupt": {"type": "mixed", "severity": 3, "seed": 0},
    }


def test_a_copy_of_an_image_that_is_trained_on_is_still_a_leak(config):
    data = (
        "train: {world: id_test, size: 40}, id_test: {world: id_test, size: 40}, ood: {c: {corrupt: id_test}}"
    )
    suite = suite_of(config(data), radapter.load("world:tiny"))
    with pytest.raises(DataError, match="may be trained on"):
        check_disjoint(suite)


def test_the_line_stays_in_the_settings_that_a_run_keeps(config, tmp_path):
    loaded = config(DATA["classification"], "data.ood={corrupted: {corrupt: id_test}}")
    (tmp_path / "kept.yaml").write_text(resolved_yaml(loaded))
    assert load_config(tmp_path / "kept.yaml").data == loaded.data
    assert written(loaded.data.ood) == {"corrupted": {"corrupt": "id_test"}}


@pytest.mark.parametrize(
    ("ood", "said"),
    [
        (
            "{c: {corrupt: id_tset}}",
            r"a set of data\.id_test: id_test\. Got 'id_tset'\. Did you mean 'id_test'",
        ),
        ("{c: {corrupt: id_test, severity: 6}}", r"severity must be a whole number in \[1, 5\]\. Got 6"),
        ("{c: {corrupt: id_test, sverity: 2}}", r"Did you mean 'data\.ood\.c\.severity'"),
        ("{c: {world: sketch, corrupt: fog}}", r"data\.ood\.c\.corrupt must be \{type: a corruption"),
        ("{corrupt: id_test}", r"Write ood: \{corrupted: \{corrupt: id_test\}\}"),
        (
            "{csv: a.csv, image: photo}",
            r"data\.ood must give every set a name.* ood: \{NAME: \{csv: a\.csv, \.\.\.\}\}",
        ),
    ],
)
def test_a_wrong_copy_is_named(config, ood, said):
    with pytest.raises(ConfigError, match=said):
        config(DATA["classification"], f"data.ood={ood}")


def test_a_set_that_is_corrupted_already_is_refused(config):
    data = "train: {world: train}, id_test: {world: id_test, corrupt: {type: fog, severity: 1}}"
    with pytest.raises(ConfigError, match="must copy a test set without corruptions"):
        config(data, "data.ood={c: {corrupt: id_test}}")


def test_with_several_test_sets_the_copy_names_one(config):
    data = "train: {world: train}, id_test: {one: {world: id_test}, two: {world: photo}}"
    assert config(data, "data.ood={c: {corrupt: two}}").data.ood["c"].corrupt == "two"
    with pytest.raises(ConfigError, match="one, two"):
        config(data, "data.ood={c: {corrupt: id_test}}")
