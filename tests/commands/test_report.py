"""`radapter report` and `radapter plot`, the page beside results.md, and what the evaluation keeps for it."""

import json
import logging
import re
import shutil
import sys
from pathlib import Path

import pytest
from commands.test_retrieval import SMALL as SMALL_RETRIEVAL
from commands.test_segmentation import SMALL as SMALL_SEGMENTATION
from safetensors.torch import load_file

from radapter.manifests import forget
from radapter.operations.page import write_page_beside
from radapter.report.page.writing import _json
from radapter.storage import read_json, write_json

MIB = 2**20
ADDED = ("answers.safetensors", "moved.json")


def outside_scripts(page: Path) -> str:
    return re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)


def facts_of(page: Path) -> dict:
    text = page.read_text()
    found = re.search(r'<script id="facts" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture(scope="module")
def retrieval(finished, initialised) -> Path:
    return finished(initialised("retrieval"), *SMALL_RETRIEVAL)


@pytest.fixture(scope="module")
def segmentation(finished, initialised) -> Path:
    return finished(initialised("segmentation"), *SMALL_SEGMENTATION)


@pytest.fixture
def copied(run, here) -> Path:
    """A copy of a finished run that a test may change."""
    return shutil.copytree(run, here / "run")


def test_train_writes_a_page_that_loads_nothing(run):
    page = run / "report.html"
    text = outside_scripts(page)
    assert page.stat().st_size < 5 * MIB
    assert "default-src 'none'" in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    for words in ("Trade-off", "Classes", "Training", "Layers that moved", "How it was made"):
        assert f">{words}</h2>" in text
    assert 0 < text.count("<img ") <= 40


def test_the_page_has_the_figures_of_results_json_at_every_alpha(run):
    results, facts = read_json(run / "results.json"), facts_of(run / "report.html")
    points = [point for point in results["sweep"] if point["method"] == "r-adapter"]
    assert [(p["alpha"], p["id"], p["ood"]) for p in facts["methods"]["r-adapter"]] == [
        (p["alpha"], p["id_mean"], p["ood_mean"]) for p in points
    ]
    for point, shown in zip(points, facts["methods"]["r-adapter"], strict=True):
        by_set = {(of["role"], of["name"]): of["value"] for of in shown["gains"]}
        assert by_set == {("id", "id_test"): point["id_mean"], ("ood", "sketch"): point["ood_mean"]}


def test_answers_give_the_accuracy_of_results_json_at_every_alpha(run):
    answers, results = load_file(run / "answers.safetensors"), read_json(run / "results.json")
    for point in results["sweep"]:
        for role, name in (("id", "id_test"), ("ood", "sketch")):
            predicted = answers[f"{point['alpha']:g}/{role}/{name}/class"]
            label = answers[f"{role}/{name}/label"]
            assert float((predicted == label).double().mean()) == point[role][name]["top1"]
    assert not any("id_val" in name for name in answers)


def test_answers_of_retrieval_give_its_recalls(retrieval):
    answers, results = load_file(retrieval / "answers.safetensors"), read_json(retrieval / "results.json")
    for point in results["sweep"]:
        ranks = answers[f"{point['alpha']:g}/ood/sketch/text_rank"]
        assert float((ranks <= 5).double().mean()) == pytest.approx(point["ood"]["sketch"]["t2i_r5"])
        first = answers[f"{point['alpha']:g}/ood/sketch/first_image"]
        own = answers["ood/sketch/image_of_text"]
        assert (first == own)[ranks == 1].all()


def test_label_maps_of_a_few_images_are_kept(segmentation):
    answers = load_file(segmentation / "answers.safetensors")
    maps = [name for name in answers if name.startswith("id/id_test/") and name.endswith("/truth")]
    assert len(maps) == 4
    for name in maps:
        assert answers[name].shape == answers[f"0/{name.removesuffix('truth')}labels"].shape
        assert max(answers[name].shape) <= 160
        assert int(answers[name].max()) >= 0


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            "retrieval",
            ("Recall by alpha", "Best queries in distribution", "Worst queries out of distribution"),
        ),
        ("segmentation", ("IoU of each class", "Image, truth, before, after and oracle", ">oracle<")),
    ],
)
def test_other_tasks_show_their_own_parts(task, words, request):
    text = outside_scripts(request.getfixturevalue(task) / "report.html")
    for each in words:
        assert each in text
    assert text.count("<img ") > 0


def test_layers_that_moved_are_those_with_adapters(run):
    moved = read_json(run / "moved.json")
    assert {(of["tower"], of["part"]) for of in moved} == {
        (tower, part) for tower in ("image", "text") for part in ("attention", "ffn")
    }
    assert all(of["change"] > 0 and of["norm"] > of["change"] for of in moved)


def test_images_can_be_left_out(radapter, run, tmp_path):
    to = tmp_path / "page.html"
    assert radapter("report", run, "--out", to, "--no-images").code == 0
    assert "<img " not in outside_scripts(to)
    assert "Pictures were left out (--no-images)." in outside_scripts(to)


def test_images_that_changed_are_left_out_with_a_note(radapter, copied):
    inputs = read_json(copied / "inputs.json")
    for of in inputs["sets"].values():
        of["images"] = "0" * 64
    write_json(copied / "inputs.json", inputs)
    assert radapter("report", copied).code == 0
    text = outside_scripts(copied / "report.html")
    assert "<img " not in text
    assert "are not those of the evaluation" in text


def test_an_older_run_has_a_page_without_the_parts_it_did_not_keep(radapter, copied):
    forget(copied, *ADDED)
    for name in (*ADDED, "versions.json", "epochs.jsonl", "metrics.jsonl", "pseudo_values.safetensors"):
        (copied / name).unlink(missing_ok=True)
    forget(copied, "pseudo_values.safetensors")
    assert radapter("report", copied).code == 0
    text = outside_scripts(copied / "report.html")
    assert "Single images are not shown" in text
    assert ">Layers that moved</h2>" not in text
    assert facts_of(copied / "report.html")["methods"]["r-adapter"][5]["errors"]["id"] is None


def test_an_unfinished_folder_is_refused(radapter, refusal, here):
    (here / "empty").mkdir()
    assert "must be a finished run or comparison and has no results.json" in refusal(
        radapter, "report", "empty"
    )


def test_without_the_extra_report_names_it_and_train_goes_on(radapter, copied, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "altair", None)
    answer = radapter("report", copied)
    assert (answer.code, "pip install 'radapter[report]'" in answer.said) == (2, True)
    (copied / "report.html").unlink()
    with caplog.at_level(logging.INFO, "radapter"):
        write_page_beside(copied)
    (said,) = caplog.messages
    assert "report.html was not written" in said
    assert "pip install 'radapter[report]'" in said


def test_plot_writes_every_figure_as_png_and_svg(radapter, run, tmp_path):
    answer = radapter("plot", run, "--out", tmp_path / "plots")
    assert answer.code == 0, answer.result.output
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    for figure in (
        "frontier_ood",
        "gains",
        "training_loss",
        "reliability",
        "confusion_1",
        "classes",
        "moved_image",
    ):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    assert (tmp_path / "plots" / "gains.png").read_bytes().startswith(b"\x89PNG")
    assert "sketch" in (tmp_path / "plots" / "gains.svg").read_text()


def test_a_class_name_cannot_end_the_script_element():
    assert "<" not in _json({"name": "</script><script>alert(1)</script>"})
