"""`radapter predict`, `radapter embed` and `radapter evaluate --out`."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radapter.runs.results import Results
from radapter.world import split


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Twelve sketches in one folder."""
    folder = tmp_path_factory.mktemp("scenes")
    for number, pixels in enumerate(split("sketch", seed=0, size=12).images):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{number:02}.png")
    return folder


pytestmark = pytest.mark.usefixtures("here")
SKETCHES = "{world: sketch, size: 40}"


def rows_of(path):
    with open(path, newline="") as file:  # noqa: PTH123
        return list(csv.DictReader(file))


def test_predict_is_right_as_often_as_evaluate_says(radapter, run):
    assert radapter("evaluate", run, "--data", SKETCHES, "--alpha", 1, "--out", "results.json").code == 0
    answer = radapter("predict", run, "--data", SKETCHES, "--alpha", 1, "--out", "found.csv")
    assert answer.code == 0, answer.result.output
    world = split("sketch", seed=0, size=40)
    true = [world.classnames[label] for label in world.labels]
    rows = rows_of("found.csv")
    reported = json.loads(Path("results.json").read_text())["rows"]
    for column, row in zip(("zero_shot", "label"), reported, strict=True):
        share = sum(each[column] == name for each, name in zip(rows, true, strict=True)) / 40
        assert share == next(iter(row["id"].values()))["top1"]
    differing = sum(row["differs"] == "true" for row in rows)
    assert f"{differing} of 40 images have another class than the zero-shot model gives" in answer.printed
    assert "radapter embed" in answer.printed


def test_predict_with_a_model_needs_classes(radapter, refusal, scenes):
    said = refusal(radapter, "predict", "world:tiny", "--data", scenes, "--out", "found.csv")
    assert "--classes is needed" in said
    classes = "star, moon,car"
    answer = radapter(
        "predict", "world:tiny", "--data", scenes, "--classes", classes, "--out", "found.jsonl", "--json"
    )
    summary = json.loads(answer.result.stdout)
    assert summary["images"] == sum(summary["counts"].values()) == 12
    lines = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert {len(line["top"]) for line in lines} == {3}


def test_classes_may_be_a_file(radapter, here, scenes):
    (here / "classes.txt").write_text("star\nmoon\n")
    arguments = ("--data", scenes, "--classes", "classes.txt", "--out", "found.csv", "--top", 1)
    assert radapter("predict", "world:tiny", *arguments).code == 0
    assert {row["label"] for row in rows_of("found.csv")} <= {"star", "moon"}
    assert "label_2" not in rows_of("found.csv")[0]


def test_classes_that_the_text_tower_reads_alike_are_refused(radapter, refusal, scenes):
    arguments = ("--data", scenes, "--classes", "wombat, quokka", "--out", "found.csv")
    assert "must differ to the text tower" in refusal(radapter, "predict", "world:tiny", *arguments)


def test_unreadable_images_are_rows_up_to_max_bad(radapter, refusal, here, scenes, tmp_path_factory):
    photos = tmp_path_factory.mktemp("photos")
    shutil.copytree(scenes, photos / "sketches")
    (photos / "broken.png").write_text("no image")
    words = ("predict", "world:tiny", "--data", photos, "--classes", "star,moon", "--out", "found.csv")
    assert "may be unreadable" in refusal(radapter, *words)
    answer = radapter(*words, "--max-bad", 0.1)
    assert answer.code == 0
    assert "Unreadable images: 1" in answer.said
    broken = next(row for row in rows_of("found.csv") if row["error"])
    assert (broken["path"], broken["label"]) == (str(photos / "broken.png"), "")


def test_an_existing_file_is_left_as_it_is(radapter, refusal, here, run, scenes):
    for name in ("found.csv", "features.npy", "results.json"):
        (here / name).write_text("mine")
    words = ("--data", scenes, "--out")
    assert "must be a new file" in refusal(radapter, "predict", run, *words, "found.csv")
    assert "must be a new file" in refusal(radapter, "embed", run, *words, "features.npy")
    assert "must be a new file" in refusal(radapter, "evaluate", run, "--out", "results.json")
    assert "must end in .json" in refusal(radapter, "evaluate", run, "--out", "results.csv")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("predict", "world:tiny", "--data", "not/here", "--classes", "star,moon", "--out", "a.csv"),
            "does not exist",
        ),
        (("predict", "world:tiny", "--data", ".", "--classes", "star,star", "--out", "a.csv"), "must differ"),
        (
            ("predict", "world:tiny", "--data", ".", "--classes", "a,b", "--out", "a.csv", "--top", 0),
            "must be >= 1",
        ),
        (("predict", "world:tiny", "--data", ".", "--out", "a.txt"), "must end in"),
        (("predict", "world:tiny", "--data", ".", "--alpha", 0.5, "--out", "a.csv"), "alpha is for a run"),
        (("embed", "world:tiny", "--out", "a.npy"), "needs --data, --texts, or both"),
        (("embed", "world:tiny", "--texts", " , ", "--out", "a.npy"), "must hold a text"),
        (
            ("embed", "world:tiny", "--data", ".", "--device", "gpu", "--out", "a.npy"),
            "device must exist here",
        ),
    ],
)
def test_wrong_input_is_named(radapter, refusal, words, said):
    assert said in refusal(radapter, *words)


def test_embed_writes_features_of_images_and_texts(radapter, here, scenes):
    (here / "texts.txt").write_text("a red star, at night\na moon\n")
    words = ("embed", "world:tiny", "--data", scenes, "--texts", "texts.txt", "--out", "features.npy")
    answer = radapter(*words)
    assert answer.code == 0, answer.result.output
    assert np.load("features.npy").shape == (14, 128)
    names = json.loads((here / "features.json").read_text())
    assert names["texts"] == ["a red star, at night", "a moon"]
    assert "12 images and 2 texts, 128 numbers each" in answer.printed
    assert "radapter predict" in answer.printed


def test_embed_ranks_as_search_prints(radapter, run, scenes):
    assert (
        radapter("embed", run, "--data", scenes, "--texts", "a red star", "--out", "features.npy").code == 0
    )
    searched = json.loads(
        radapter("search", run, "--data", scenes, "a red star", "--top", 12, "--json").result.stdout
    )
    features = np.load("features.npy")
    order = np.argsort(-(features[:-1] @ features[-1]), kind="stable")
    files = sorted(path.name for path in scenes.iterdir())
    assert [files[row] for row in order] == [path for _, _, path in searched["a red star"]]


def test_evaluate_writes_the_schema_of_train(radapter, here, run):
    for what, name in ((run, "run.json"), ("world:tiny", "model.json")):
        words = ("evaluate", what, "--data", f"sketch={SKETCHES}", "--out", name, "--json")
        answer = radapter(*words)
        assert answer.code == 0, answer.result.output
        (here / "kept").mkdir()
        shutil.move(name, here / "kept" / "results.json")
        results = Results.read(here / "kept")
        assert results.model_dump(mode="json", by_alias=True) == json.loads(answer.result.stdout)
        assert results.rows[0].id["sketch"]["n"] == 40
        shutil.rmtree(here / "kept")
