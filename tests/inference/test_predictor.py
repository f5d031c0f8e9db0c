"""Predictions: equal to the evaluation, calibrated, the same from a run and its merged directory."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from radapter.data import Reading, open_classification
from radapter.errors import ConfigError, DataError, ModelError
from radapter.evaluation.calibration import TEMPERATURE
from radapter.inference import open_images, open_predictor
from radapter.manifests import write_manifest
from radapter.runs.results import Results

METHODS = ("r-adapter", "r-adapter+head")
HEADS = ("clip-adapter", "tip-adapter", "tip-adapter-f", "coop", "cocoop", "maple")
OTHERS = (*HEADS, "adaptformer", "repadapter", "peft", "r-adapter:all-linear")
SETS = {"sketch": ("ood", "sketch"), "id_test": ("id", "photo")}


def labels(found):
    return [row.label for row in found]


def right(predictions, opened) -> float:
    return sum(row.label == label for row, label in zip(predictions, opened.labels, strict=True)) / len(
        opened
    )


@pytest.mark.parametrize("method", [*METHODS, *OTHERS])
@pytest.mark.parametrize("name", SETS)
def test_predictions_are_right_as_often_as_the_run_reports(runs, method, name):
    predictor = open_predictor(runs(method))
    opened = open_images({"world": name, "size": 40, "seed": 3})
    found, (role, of_set) = predictor.predict(opened), SETS[name]
    zero_shot, row = Results.read(runs(method)).rows
    assert right(found, opened) == row.sets(role)[of_set]["top1"]
    then = sum(row.zero_shot == label for row, label in zip(found, opened.labels, strict=True)) / 40
    assert then == zero_shot.sets(role)[of_set]["top1"]
    assert found.differing == sum(row.label != row.zero_shot for row in found)
    assert 1 - found.differing / 40 == pytest.approx(row.sets(role)[of_set]["agreement"])


@pytest.mark.parametrize("method", [*HEADS, "adaptformer"])
def test_predictions_move_with_alpha_and_are_zero_shot_at_0(runs, sketches, method):
    predictor = open_predictor(runs(method), raw=True)
    shares = {
        alpha: [row.probability for row in predictor.at(alpha).predict(sketches)] for alpha in (0, 0.5, 1)
    }
    zero_shot = open_predictor("world:tiny", classnames=predictor.classnames, templates=predictor.templates)
    expected = [row.probability for row in zero_shot.predict(sketches)]
    # CLIP-Adapter scales the features to unit norm once more
    assert shares[0] == pytest.approx(expected, abs=1e-4)
    assert shares[0.5] != pytest.approx(shares[0], abs=1e-4)
    assert shares[1] != pytest.approx(shares[0.5], abs=1e-4)


def test_image_features_of_prompted_towers_are_refused(runs, sketches):
    predictor = open_predictor(runs("maple"))
    with pytest.raises(ConfigError, match="belong to its classes"):
        predictor.embed(sketches)
    assert predictor.embed(texts=["a star"]).text_features.shape == (1, 128)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batch_size_and_the_threads_change_nothing(runs, sketches, batch_size):
    predictor = open_predictor(runs())
    whole = predictor.predict(sketches, batch_size=23, workers=0)
    found = predictor.predict(sketches, batch_size=batch_size, workers=2)
    assert labels(found) == labels(whole)
    assert [row.path for row in found] == [str(file) for file in sorted(sketches.rglob("*.png"))]
    for first, second in zip(found, whole, strict=True):
        # the order of a sum in a matrix product depends on its shape: a few bits of float32
        assert first.probability == pytest.approx(second.probability, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_and_its_merged_directory_agree(runs, merged, sketches, method):
    of_run = open_predictor(runs(method)).predict(sketches, top=20)
    predictor = open_predictor(merged(method))
    of_folder = predictor.predict(sketches, top=20)
    assert predictor.alpha == 0.6
    assert of_folder.temperature == pytest.approx(of_run.temperature, rel=1e-6)
    assert [row.zero_shot for row in of_folder] == [row.zero_shot for row in of_run]
    for first, second in zip(of_run, of_folder, strict=True):
        assert dict(second.top) == pytest.approx(dict(first.top), abs=1e-5)  # as features that were merged do


def test_probabilities_are_divided_by_the_temperature_of_the_alpha(runs, sketches):
    sweep = Results.read(runs()).sweep
    known = {row.alpha: row.id_val[TEMPERATURE] for row in sweep if row.method == "r-adapter"}
    predictor = open_predictor(runs())
    assert predictor.temperature == known[0.6] != 1
    assert predictor.at(1.0).temperature == known[1.0]
    low, high = sorted((known[0.6], known[1.0]))
    assert low <= predictor.at(0.8).temperature <= high
    raw = open_predictor(runs(), raw=True).predict(sketches, top=20)
    found = predictor.predict(sketches, top=20)
    assert (raw.temperature, labels(raw)) == (1.0, labels(found))
    logits = torch.tensor([[share for _, share in row.top] for row in raw]).log()
    expected = (logits / predictor.temperature).softmax(1)
    assert torch.allclose(
        torch.tensor([[share for _, share in row.top] for row in found]), expected, atol=1e-6
    )


def test_alpha_zero_is_the_zero_shot_model(runs, sketches):
    found = open_predictor(runs(), alpha=0).predict(sketches)
    model = open_predictor("world:tiny", classnames=found.classnames).predict(sketches)
    assert labels(found) == labels(model) == [row.zero_shot for row in found]
    assert found.differing == model.differing == 0


def test_another_alpha_of_an_open_run_equals_a_run_opened_there(runs, sketches):
    predictor = open_predictor(runs())
    before = predictor.predict(sketches)
    assert predictor.at(1.0).predict(sketches) == open_predictor(runs(), alpha=1.0).predict(sketches)
    assert predictor.predict(sketches) == before


def test_threads_that_share_a_run_get_their_own_alpha(runs, sketches):
    predictor = open_predictor(runs())
    alphas = [0.0, 1.0, 0.6, 0.3] * 2
    alone = {alpha: predictor.at(alpha).predict(sketches) for alpha in set(alphas)}
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda alpha: predictor.at(alpha).predict(sketches, batch_size=23), alphas)
    for alpha, of_alpha in zip(alphas, found, strict=True):
        assert labels(of_alpha) == labels(alone[alpha])
        assert of_alpha[0].probability == pytest.approx(alone[alpha][0].probability, abs=1e-5)


def test_the_most_probable_classes_come_first(runs, sketches):
    for row in open_predictor(runs()).predict(sketches, top=3):
        shares = [share for _, share in row.top]
        assert shares == sorted(shares, reverse=True)
        assert (row.label, row.probability) == row.top[0]
        assert len(row.top) == len({label for label, _ in row.top}) == 3


def test_of_equal_logits_the_first_class_counts(sketches):
    predictor = open_predictor("world:tiny", classnames=["moon", "cup"], templates=["a shape {}."])
    predictor._heads[False] = predictor._heads[True] = None  # replaced: two rows that are equal
    from radapter.zeroshot import LinearHead

    predictor._heads = dict.fromkeys((False, True), LinearHead(torch.zeros(2, predictor.encoder.embed_dim)))
    found = predictor.predict(sketches)
    assert {(row.label, row.top[1].label, row.probability) for row in found} == {("moon", "cup", 0.5)}


def test_top_above_the_number_of_classes_gives_all(sketches):
    found = open_predictor("world:tiny", classnames=["star", "moon"]).predict(sketches, top=9)
    assert {len(row.top) for row in found} == {2}
    assert sum(share for _, share in found[0].top) == pytest.approx(1)


def test_a_model_and_other_classes_are_not_calibrated(runs, merged, sketches):
    names = ["star", "moon", "house"]
    for what in (runs(), merged()):
        predictor = open_predictor(what, classnames=names)
        assert predictor.temperature == 1
        assert "the run's own classes" in predictor.notes[0]
        assert set(labels(predictor.predict(sketches))) <= set(names)
    assert open_predictor("world:tiny", classnames=names).temperature == 1


def test_the_classes_of_a_run_in_another_order_and_spelling_are_its_own(runs, suite):
    names = [name.upper() for name in reversed(suite.classnames)]
    predictor = open_predictor(runs("r-adapter+head"), classnames=names)
    assert predictor.classnames == suite.classnames
    assert predictor.temperature != 1


def test_a_run_with_a_head_refuses_other_classes(runs):
    with pytest.raises(ConfigError, match="trained a head for its 20"):
        open_predictor(runs("r-adapter+head"), classnames=["star", "moon"])


def test_a_run_without_temperature_says_so(runs, sketches, tmp_path):
    old = shutil.copytree(runs(), tmp_path / "old")
    content = json.loads((old / "results.json").read_text())
    for row in (*content["sweep"], *content["rows"]):
        (row.get("id_val") or {}).pop(TEMPERATURE, None)
    (old / "results.json").write_text(json.dumps(content))
    (old / "manifest.json").unlink()
    predictor = open_predictor(old)
    assert predictor.temperature == 1
    assert "no temperature" in predictor.notes[0]
    assert labels(predictor.predict(sketches)) == labels(open_predictor(runs()).predict(sketches))


def test_a_merged_directory_of_an_older_radapter_has_temperature_one(merged, sketches, tmp_path):
    old = shutil.copytree(merged(), tmp_path / "old")
    tensors = load_file(old / "classifier.safetensors")
    del tensors["temperature"]
    save_file(tensors, old / "classifier.safetensors")
    write_manifest(old)
    found = open_predictor(old).predict(sketches)
    assert found.temperature == 1
    assert labels(found) == labels(open_predictor(merged()).predict(sketches))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(merged, tmp_path, temperature):
    broken = shutil.copytree(merged(), tmp_path / "broken")
    tensors = load_file(broken / "classifier.safetensors") | {"temperature": torch.tensor(temperature)}
    save_file(tensors, broken / "classifier.safetensors")
    write_manifest(broken)
    with pytest.raises(ModelError, match="must be above 0"):
        open_predictor(broken)


@pytest.mark.parametrize(
    "change", [{"model": "not/here"}, {"base_fingerprint": "other"}, {"base_fingerprint": None}]
)
def test_without_its_base_a_merged_directory_has_no_zero_shot_answers(merged, sketches, tmp_path, change):
    alone = shutil.copytree(merged(), tmp_path / "alone")
    facts = json.loads((alone / "certificate.json").read_text()) | change
    (alone / "certificate.json").write_text(
        json.dumps({key: of for key, of in facts.items() if of is not None})
    )
    write_manifest(alone)
    found = open_predictor(alone).predict(sketches)
    assert found.differing is None
    assert {(row.zero_shot, row.differs) for row in found} == {(None, None)}
    assert labels(found) == labels(open_predictor(merged()).predict(sketches))


def test_an_unreadable_image_is_a_row_with_its_reason(runs, sketches, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    images = [tmp_path / "broken.png", *sorted(sketches.rglob("*.png"))]
    predictor = open_predictor(runs())
    found = predictor.predict(images, reading=Reading(max_bad=0.1))
    assert len(found) == 24
    assert (found[0].label, found[0].top, found[0].zero_shot, found[0].differs) == (None, (), None, None)
    assert "broken.png" in found[0].error
    assert labels(found)[1:] == labels(predictor.predict(images[1:]))
    with pytest.raises(DataError, match="may be unreadable"):
        predictor.predict(images, reading=Reading(max_bad=0.01))


def test_a_source_that_shows_only_some_classes_is_classified_among_them(runs, suite):
    data = open_classification({"world": "sketch", "size": 40, "seed": 3}, classnames=suite.classnames)
    opened = open_images({"world": "sketch", "size": 40, "seed": 3})
    predictor = open_predictor(runs())
    few = torch.tensor([[0], [3]])
    import dataclasses

    opened = dataclasses.replace(opened, data=dataclasses.replace(data, candidates=few))
    assert set(labels(predictor.predict(opened))) <= {suite.classnames[0], suite.classnames[3]}


def test_alpha_is_refused_for_a_model_and_out_of_range(runs):
    with pytest.raises(ConfigError, match="alpha is for a run"):
        open_predictor("world:tiny", alpha=0.5)
    with pytest.raises(ConfigError, match="alpha is for a run"):
        open_predictor("world:tiny").at(0.5)
    with pytest.raises(ConfigError):
        open_predictor(runs(), alpha=1.5)


def test_a_model_without_classes_and_a_wrong_device_are_refused(sketches):
    with pytest.raises(ConfigError, match="need class names"):
        open_predictor("world:tiny").predict(sketches)
    for device in ("gpu", "cuda:9"):
        with pytest.raises(ConfigError, match="device must exist here"):
            open_predictor("world:tiny", device=device)


def test_progress_ends_at_the_number_of_images(runs, sketches, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    images = [*sorted(sketches.rglob("*.png")), tmp_path / "broken.png"]
    steps: list[tuple[int, int]] = []
    reading = Reading(max_bad=0.1)
    open_predictor(runs()).predict(images, reading=reading, progress=lambda *step: steps.append(step))
    assert steps[-1] == (24, 24)


def test_a_predictor_ends_without_a_word(runs, sketches):
    import subprocess
    import sys

    code = (
        "import sys, warnings\nwarnings.simplefilter('ignore')\nfrom radapter.inference import open_predictor\n"
        "predictor = open_predictor(sys.argv[1])\npredictor.predict(sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, runs(), sketches], capture_output=True, text=True, check=True
    )
    assert "Exception" not in done.stderr


def test_the_folder_of_a_run_is_left_as_it_is(runs, sketches):
    before = {path: path.stat().st_mtime_ns for path in Path(runs()).rglob("*")}
    open_predictor(runs()).predict(sketches)
    assert {path: path.stat().st_mtime_ns for path in Path(runs()).rglob("*")} == before
