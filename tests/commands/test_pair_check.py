"""`radapter data check` of image-text pairs."""

import json

import pytest
import yaml
from miniatures.layouts import add_images


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    add_images(tmp_path / "images", "a.png", "b.png", "c.png")
    sentences = {"a.png": ["a dog", "a black dog"], "b.png": ["a dog"], "c.png": ["one two three four"]}
    images = [
        {"filename": name, "split": "test", "sentences": [{"raw": text} for text in texts]}
        for name, texts in sentences.items()
    ]
    (tmp_path / "karpathy.json").write_text(json.dumps({"images": images}))
    rows = [json.dumps({"image": name, "captions": texts}) for name, texts in sentences.items()]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows))
    return tmp_path


def found(answer) -> dict[str, str]:
    cells = (line.strip().split("  ", 1) for line in answer.printed.partition("Next,")[0].splitlines())
    return {pair[0]: pair[1].strip() for pair in cells if len(pair) == 2}


def proposed(answer) -> dict[str, dict]:
    section = yaml.safe_load(answer.printed.partition("in run.yaml:")[2])
    assert section["task"] == "retrieval"
    return section["data"]


def test_captions_and_what_they_share_are_counted(radapter, here):
    answer = radapter("data", "check", "{karpathy: karpathy.json, images: images, split: test}")
    assert answer.code == 0, answer.result.output
    table = found(answer)
    assert (table["Images"], table["Captions"]) == ("3", "4")
    assert table["Captions per image"] == "from 1 to 2, median 1"
    assert table["Words of a caption"] == "2 / 2.5 / 4"
    assert table["Captions that groups share"] == "1"
    assert table["Target classes"] == "2, the largest of 2 images"
    assert (table["Size in pixels"], table["Unreadable"]) == ("12 wide, 10 high", "0")
    assert list(proposed(answer)) == ["id_test"]


def test_a_path_and_its_keys_are_enough(radapter, here):
    answer = radapter("data", "check", "pairs.jsonl", "images=images")
    assert answer.code == 0, answer.result.output
    assert found(answer)["Captions"] == "4"
    assert list(proposed(answer)) == ["train", "id_val", "id_test", "ood"]


@pytest.fixture
def captioned(here):
    (here / "pairs.csv").write_text("image,caption,split\nimages/a.png,a dog,x\nimages/b.png,a cat,x\n")


@pytest.mark.usefixtures("captioned")
@pytest.mark.parametrize(
    "source", [["pairs.csv"], ["{csv: pairs.csv}"], ["pairs.csv", "--task", "retrieval"]]
)
def test_a_table_of_captions_is_known_by_its_columns(radapter, source):
    answer = radapter("data", "check", *source)
    assert answer.code == 0, answer.result.output
    assert found(answer)["Captions"] == "2"
    assert proposed(answer)["train"] == {"csv": "pairs.csv", "part": [0.0, 0.8]}


@pytest.mark.usefixtures("captioned")
def test_shards_know_a_table_of_captions_too(radapter):
    answer = radapter("shards", "pairs.csv", "--out", "shards")
    assert answer.code == 0, answer.result.output
    assert "task: retrieval" in answer.printed


@pytest.mark.parametrize("command", [("data", "check", "t.csv"), ("shards", "t.csv", "--out", "shards")])
def test_a_table_without_labels_names_the_task(radapter, here, command):
    (here / "t.csv").write_text("image,text\nimages/a.png,a dog\n")
    answer = radapter(*command)
    assert answer.code == 2
    said = " ".join(answer.said.split())
    assert "has no 'label'." in said
    assert "For image-text pairs give --task retrieval." in said


@pytest.mark.usefixtures("captioned")
def test_a_task_that_does_not_fit_is_refused(radapter):
    answer = radapter("data", "check", "pairs.csv", "--task", "classification")
    assert (answer.code, "no 'label'" in answer.said, "--task" in answer.said) == (2, True, False)
    answer = radapter("data", "check", "pairs.csv", "--task", "segmentation")
    assert answer.code == 2
    assert "segmentation needs a mapping such as" in " ".join(answer.said.split())


@pytest.mark.parametrize(
    ("source", "task"),
    [("{world: train, size: 6}", "classification"), ("{world: scenes, size: 6}", "retrieval")],
)
def test_the_shards_of_a_stream_are_checked_and_proposed_to_train_on(radapter, here, source, task):
    assert radapter("shards", source, "--task", task, "--out", "shards").code == 0
    answer = radapter("data", "check", "{stream: shards, buffer: 3}")
    assert answer.code == 0, answer.result.output
    assert found(answer)["Images"] == "6"
    section = yaml.safe_load(answer.printed.partition("in run.yaml:")[2])
    assert section.get("task", "classification") == task
    assert section["data"] == {"train": {"stream": "shards", "buffer": 3}}
    refused = radapter("data", "check", "{stream: shards, bufer: 3}")
    assert (refused.code, "Did you mean 'buffer'" in refused.said) == (2, True)


@pytest.mark.parametrize(
    ("source", "said"),
    [("{stream: 3}", "stream must be a folder"), ("{stream: images}", "must have a sizes.json")],
)
def test_a_stream_of_nothing_is_refused(radapter, here, source, said):
    answer = radapter("data", "check", source)
    assert answer.code == 2
    assert said in " ".join(answer.said.split())


def test_the_world_is_checked_with_its_captions(radapter):
    answer = radapter("data", "check", "{world: scenes, size: 6, wording: full}")
    assert answer.code == 0, answer.result.output
    assert found(answer)["Images"] == "6"


def test_damage_above_what_a_run_accepts_is_shown_and_refused(radapter, here):
    (here / "images" / "b.png").write_bytes(b"no image")
    answer = radapter("data", "check", "pairs.jsonl", "images=images")
    assert answer.code == 2
    assert found(answer)["Unreadable"] == "1"
    assert "Of the 3 decoded in 'pairs' 1 are" in " ".join(answer.said.split())
    assert "Next" not in answer.printed


def test_an_image_that_is_not_there_is_refused(radapter, here):
    (here / "images" / "b.png").unlink()
    answer = radapter("data", "check", "pairs.jsonl", "images=images")
    assert answer.code == 2
    assert "b.png" in answer.said
