"""`radapter init`: a file to edit that is complete as it is."""

import pytest
import yaml

from radapter.commands.init import template
from radapter.config import load_config
from radapter.config.problems import known_keys
from radapter.config.reading import TASKS
from radapter.world import SPLITS


@pytest.mark.parametrize("task", TASKS)
def test_the_file_names_the_next_step(radapter, tmp_path, task):
    path = tmp_path / "new" / "run.yaml"
    answer = radapter("init", task, "--out", path)
    assert answer.code == 0
    assert f"radapter train {path}" in answer.printed.replace("\n", "")


def test_an_existing_file_is_left_alone(radapter, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("mine")
    answer = radapter("init", "classification", "--out", path)
    assert (answer.code, path.read_text()) == (2, "mine")
    assert "exists" in answer.said


def test_a_name_that_is_no_yaml_is_refused(radapter, tmp_path):
    assert radapter("init", "classification", "--out", tmp_path / "run.txt").code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", TASKS)
def test_the_file_is_a_valid_configuration_on_the_world(tmp_path, task):
    (tmp_path / "run.yaml").write_text(template(task))
    config = load_config(tmp_path / "run.yaml")
    assert (config.task, config.model, config.method.name) == (task, "world:tiny", "r-adapter")
    assert {source.world for source in config.data.ood.values()} <= set(SPLITS)


@pytest.mark.parametrize(("task", "own"), [("classification", "classnames"), ("retrieval", "join_captions")])
def test_comments_speak_of_known_keys_only(task, own):
    commented = [line.strip("# \n") for line in template(task).splitlines()]
    keys = {key.rpartition(".")[2] for key in known_keys(TASKS[task])}
    options = [line.split("  ")[0] for line in commented if line.split(":")[0] in keys]
    assert {"allow_download", "margin", "label_smoothing", own} <= {o.split(":")[0] for o in options}
    assert all(isinstance(yaml.safe_load(option), dict) for option in options)


@pytest.mark.parametrize("task", TASKS)
def test_the_file_says_where_all_methods_are_listed(task):
    assert "`radapter methods" in template(task)
