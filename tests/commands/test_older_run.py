"""A run directory of schema 1, written at commit f477e1b: each file is read, or refused with the schema named."""

import shutil
from pathlib import Path

import pytest
import yaml

from radapter.config import load_stored
from radapter.config.older import renewed
from radapter.methods import RAdapterSettings
from radapter.storage import read_json, write_json

OLD = Path(__file__).parents[1] / "miniatures" / "run_of_schema_1"


@pytest.fixture
def old(here):
    return shutil.copytree(OLD, here / "old")


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "old", "--data", "{world: id_test, size: 4}"),
        ("merge", "old", "--alpha", "0.5", "--out", "merged"),
        ("verify", "old"),
    ],
)
def test_the_weights_of_an_older_run_are_read(radapter, old, command):
    answer = radapter(*command)
    assert answer.code == 0, answer.result.output


def test_evaluate_proposes_no_sweep_of_results_that_sweep_refuses(radapter, old):
    answer = radapter("evaluate", "old", "--alpha", "0", "--data", "{world: id_test, size: 4}")
    assert (answer.code, "radapter sweep" in answer.printed) == (0, False)


def test_facts_from_before_a_step_was_measured_are_read(radapter, old):
    about = read_json(old / "trained.json")
    del about["step_bytes"]
    write_json(old / "trained.json", about)
    assert radapter("merge", "old", "--alpha", "0.5", "--out", "merged").code == 0


def test_the_configuration_of_an_older_run_names_the_new_keys_when_it_is_trained_again(radapter, old):
    answer = radapter("train", "old/config.yaml", "--out", "old", "--resume")
    assert answer.code == 2
    said = " ".join(answer.said.split())
    assert "adapter.r is now method.r. Got 1. Write method: {name: r-adapter, r: 1}." in said
    assert "adapter.alpha is now select.alpha. Got 'auto'. Write select: {alpha: auto}." in said


def test_the_configuration_of_an_older_run_is_read_under_todays_keys(old):
    config = load_stored(old / "config.yaml")
    assert config.methods.settings(config.method) == RAdapterSettings(r=1, layers_to_transform=[0])
    assert (config.select.alpha, config.train.ema_decay) == ("auto", "auto")


@pytest.mark.parametrize(
    ("task", "name"), [("retrieval", "full-both-towers"), ("segmentation", "full-image-tower")]
)
def test_a_renamed_method_of_an_older_run_is_read(old, task, name):
    settings = yaml.safe_load((old / "config.yaml").read_text())
    assert renewed({**settings, "task": task, "method": "full"})["method"] == {"name": name}


def test_the_results_of_an_older_run_are_refused_by_their_schema(radapter, old):
    answer = radapter("sweep", "old")
    assert answer.code == 2
    assert "results.json' was written by schema 1; this radapter reads 3." in " ".join(answer.said.split())


def test_the_checkpoint_of_an_older_run_is_read(radapter, old):
    (old / "results.json").unlink()
    answer = radapter("verify", "old")
    assert "--resume continues from step 2" in " ".join(answer.printed.split())


@pytest.mark.parametrize("name", ["trained.json", "config.yaml"])
def test_a_file_of_a_later_radapter_is_refused_by_its_schema(radapter, old, name):
    text = (old / name).read_text()
    later = text.replace("{", '{"schema": 9,', 1) if name.endswith("json") else f"schema: 9\n{text}"
    (old / name).write_text(later)
    answer = radapter("merge", "old", "--alpha", "0.5", "--out", "merged")
    assert answer.code == 2
    assert f"{name}' was written by schema 9; this radapter reads" in " ".join(answer.said.split())
