"""Runs of few-shot methods and of adapters that do not merge: predicted, reported, described, served."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from radapter.commands.encoders import weights_of_run
from radapter.hub import files_to_push
from radapter.inference import open_predictor
from radapter.serve.blend import Blend
from radapter.serve.uploads import Uploads
from radapter.storage import read_json
from radapter.world import split

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]
METHODS = ("tip-adapter", "coop", "cocoop", "maple", "adaptformer")
MERGES = ("coop",)
SKETCHES = "{world: sketch, size: 40}"


@pytest.fixture(scope="module")
def runs(finished, written, small):
    """Gives a small run of a method; each is made once."""
    made: dict[str, Path] = {}

    def of(method: str) -> Path:
        if method not in made:
            made[method] = finished(written, *small, f"method={method}", "select.alpha=0.5")
        return made[method]

    return of


@pytest.mark.parametrize("method", METHODS)
def test_predict_is_right_as_often_as_evaluate_says(radapter, runs, method):
    run = runs(method)
    assert radapter("evaluate", run, "--data", SKETCHES, "--alpha", 1, "--out", "results.json").code == 0
    answer = radapter("predict", run, "--data", SKETCHES, "--alpha", 1, "--out", "found.csv")
    assert answer.code == 0, answer.result.output
    world = split("sketch", seed=0, size=40)
    true = [world.classnames[label] for label in world.labels]
    with Path("found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column, row in zip(("zero_shot", "label"), read_json(Path("results.json"))["rows"], strict=True):
        share = sum(each[column] == name for each, name in zip(rows, true, strict=True)) / 40
        assert share == next(iter(row["id"].values()))["top1"]


@pytest.mark.parametrize("method", METHODS)
def test_the_page_shows_every_alpha(radapter, runs, method):
    answer = radapter("report", runs(method), "--out", "page.html")
    assert answer.code == 0, answer.result.output
    found = re.search(
        r'<script id="facts" type="application/json">(.*?)</script>', Path("page.html").read_text()
    )
    points = [
        point for point in read_json(runs(method) / "results.json")["sweep"] if point["method"] == method
    ]
    assert [point["alpha"] for point in json.loads(found[1])["methods"][method]] == [
        point["alpha"] for point in points
    ]


@pytest.mark.parametrize("method", METHODS)
def test_the_card_says_whether_the_method_merges(runs, method):
    card = files_to_push(runs(method))["README.md"].read_text()
    assert ("cannot be merged" in card) == (method not in MERGES)
    assert ("radapter merge" in card) == (method in MERGES)


@pytest.mark.parametrize("method", METHODS)
def test_merge_writes_a_folder_or_says_why_not(radapter, refusal, runs, method):
    if method in MERGES:
        assert radapter("merge", runs(method), "--out", "merged").code == 0
        return
    said = refusal(radapter, "merge", runs(method), "--out", "merged")
    assert f"method '{method}' cannot be merged: " in said
    said = refusal(radapter, "merge", runs(method), "--out", "merged", "--format", "onnx")
    assert f"method '{method}' cannot be merged: " in said


@pytest.mark.parametrize("method", METHODS)
def test_the_served_page_gives_the_predicted_probabilities(runs, here, method):
    image = here / "photo.png"
    Image.fromarray(split("sketch", seed=0, size=1).images[0].permute(1, 2, 0).numpy()).save(image)
    predictor = open_predictor(runs(method), raw=True)
    with weights_of_run(runs(method), allow_download=False) as (trained, line):
        blend = Blend(
            trained,
            line,
            alpha=0.5,
            classnames=predictor.classnames,
            templates=predictor.templates,
            temperatures={},
        )
        upload = Uploads(blend.encoder, here, max_pixels=10**6).open(image)
        names = tuple(reversed(predictor.classnames))
        for alpha in (1.0, 0.0, 0.5):
            (row,) = predictor.at(alpha).predict(image, top=len(names))
            expected = torch.tensor([dict(row.top)[name] for name in names], dtype=torch.float64)
            # the classes that were trained on, in another order
            torch.testing.assert_close(
                blend.probabilities(upload, names, alpha), expected, atol=1e-5, rtol=1e-4
            )
        some = blend.probabilities(upload, names[:3], 0.5)
        torch.testing.assert_close(some, expected[:3] / expected[:3].sum(), atol=1e-5, rtol=1e-4)
        others = blend.probabilities(upload, ("zebra", *names[:2]), 1.0)
        assert float(others.sum()) == pytest.approx(1)
        blend.close()
