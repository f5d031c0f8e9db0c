"""`radapter shards`: what it writes, says, continues and refuses."""

import json

import pytest
import yaml

from radapter.commands.shards import in_bytes
from radapter.data import open_classification, open_pairs
from radapter.errors import ConfigError

WORLD = "{world: train, size: 30}"
SCENES = "{world: scenes, size: 30}"


@pytest.fixture
def written(radapter, tmp_path):
    answer = radapter("shards", WORLD, "--to", tmp_path / "shards", "--size", "50kB")
    assert answer.code == 0, answer.result.output
    return tmp_path / "shards", answer


def test_labelled_images_are_written_and_the_printed_sources_read_them(written):
    folder, answer = written
    assert "30 images in 5 shards" in answer.printed
    whole = yaml.safe_load(answer.printed.strip().splitlines()[-1].rpartition("opened: ")[2])
    assert whole == {"shards": str(folder)}
    assert len(open_classification(whole)) == 30
    assert f"train: {{stream: {folder}}}" in answer.printed


def test_pairs_are_written_with_their_task_and_read(radapter, tmp_path):
    answer = radapter("shards", SCENES, "--task", "retrieval", "--to", tmp_path / "shards")
    assert answer.code == 0, answer.result.output
    assert "task: retrieval" in answer.printed
    assert len(open_pairs({"webdataset": f"{tmp_path}/shards/*.tar"})) == 30


def test_a_list_of_pairs_is_written_as_one_set(radapter, tmp_path):
    both = "[{world: scenes, size: 4}, {world: scenes, size: 5, seed: 1}]"
    assert radapter("shards", both, "--to", tmp_path / "shards").code == 0
    assert len(open_pairs({"webdataset": f"{tmp_path}/shards/*.tar"})) == 9


def test_a_source_that_only_pairs_have_needs_no_task(radapter, tmp_path):
    source = "{classification: {world: train, size: 10}}"
    assert radapter("shards", source, "--to", tmp_path / "shards").code == 0
    assert len(open_pairs({"webdataset": f"{tmp_path}/shards/*.tar"})) == 10


def test_joining_is_kept_in_what_was_written_from(radapter, tmp_path):
    command = ("shards", SCENES, "--task", "retrieval", "--no-join-captions", "--to", tmp_path / "shards")
    assert radapter(*command).code == 0
    about = json.loads((tmp_path / "shards" / "sizes.json").read_text())["written"]["from"]
    assert (about["join_captions"], about["target_classes"]) == (False, 30)


def test_started_again_it_changes_nothing(radapter, written):
    folder, _ = written
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    assert radapter("shards", WORLD, "--to", folder, "--size", "50kB").code == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")} == before


@pytest.mark.parametrize(
    ("source", "size", "said"),
    [("{world: train, size: 31}", "50kB", "written from something else"), (WORLD, "60kB", "size of a shard")],
)
def test_something_else_is_refused(radapter, written, source, size, said):
    folder, _ = written
    answer = radapter("shards", source, "--to", folder, "--size", size)
    assert answer.code == 2
    assert said in " ".join(answer.said.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((WORLD, "--size", "big"), "such as 1GB. Got 'big'"),
        ((WORLD, "--no-join-captions"), "for image-text pairs"),
        (("[a, b]", "--task", "classification"), "--task retrieval"),
        (("nowhere",), "nowhere"),
    ],
)
def test_wrong_input_exits_2_and_writes_nothing(radapter, tmp_path, arguments, said):
    answer = radapter("shards", *arguments, "--to", tmp_path / "shards")
    assert answer.code == 2
    assert said in " ".join(answer.said.split())
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GB", 10**9), ("1.5 mb", 1_500_000), ("200", 200), ("3kB", 3_000)],
)
def test_sizes_are_read(text, size):
    assert in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "GB", "1XB", "1 G B"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="size must be a number"):
        in_bytes(text)
