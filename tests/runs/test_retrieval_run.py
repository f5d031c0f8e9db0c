"""Retrieval from pairs to a folder: trained, interrupted, resumed, swept, evaluated, merged, compared."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reference.selection import smallest_within
from runs.running import run, same, stop_at, tensors
from safetensors.torch import load_file

import radapter
from radapter.comparison.compare import compare_methods
from radapter.comparison.store import RunStore
from radapter.data import open_pairs
from radapter.errors import ConfigError, LeakError
from radapter.evaluation import HEADLINES, retrieval_features, retrieval_metrics, retrieval_ranks
from radapter.methods import RETRIEVAL, TABLES, find_methods
from radapter.report.study import write_study
from radapter.runs.directory import evaluate_run
from radapter.runs.evaluator import Evaluator
from radapter.runs.merging import merge_run
from radapter.runs.results import Results
from radapter.runs.weights import Trained, TrainingRecord, load_trained
from radapter.tasks.recipe import Recipe
from radapter.tasks.retrieval import RetrievalSuite
from radapter.tasks.suite import eval_loaders
from radapter.training import Environment, Interrupted
from radapter.zeroshot import Classifier

RECALLS = HEADLINES["retrieval"].parts


@pytest.fixture(scope="module")
def pairs() -> RetrievalSuite:
    def scenes(seed: int, size: int, **options):
        return open_pairs({"world": "scenes", "styles": "photo", "seed": seed, "size": size, **options})

    named = open_pairs({"classification": {"world": "sketch", "size": 12}})
    return RetrievalSuite(
        train=scenes(0, 24),
        id_val=scenes(1, 12),
        id_test={"photo": scenes(2, 12)},
        ood={"grey": scenes(2, 12, grayscale=True), "named": named},
        per_group=2,
    )


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Two short epochs."""
    return Recipe(epochs=2, batch_size=8, learning_rate=3e-3)


@pytest.fixture(scope="module")
def done(tmp_path_factory, pairs, recipe) -> tuple[Path, Results]:
    """A finished run of R-Adapter."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder, pairs, recipe)


def test_results_hold_recalls_their_sum_and_its_mean(done):
    folder, results = done
    assert Results.read(folder) == results
    assert results.task == "retrieval"
    for row in results.rows:
        for metrics in (*row.id.values(), *row.ood.values()):
            assert all(0 <= metrics[name] <= 1 for name in RECALLS)
            assert metrics["rsum"] == pytest.approx(sum(metrics[name] for name in RECALLS))
        assert row.id_mean == pytest.approx(row.id["photo"]["rsum"] / 6)
        assert row.ood_mean == pytest.approx(sum(m["rsum"] for m in row.ood.values()) / 12)


def test_zero_shot_is_the_model_as_it_is(done, pairs):
    _, results = done
    encoder, data = radapter.load("world:tiny"), pairs.id_test["photo"]
    pixels = [torch.stack([encoder.preprocess(data.image(index)) for index in range(len(data))])]
    features = retrieval_features(encoder, pixels, data.captions)
    expected = retrieval_metrics(retrieval_ranks(*features, data.image_of_caption))
    found = results.row("zero-shot").id["photo"]
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_training_changes_the_figures_and_alpha_zero_does_not(done):
    _, results = done
    points = {row.alpha: row for row in results.sweep if row.method == "r-adapter"}
    assert points[0.0].id == results.row("zero-shot").id
    assert points[1.0].id != points[0.0].id


def test_alpha_is_chosen_by_the_paired_jackknife(done):
    folder, results = done
    values = load_file(folder / "pseudo_values.safetensors")
    validated = {row.alpha: row.id_val for row in results.sweep if row.method == "r-adapter"}
    of_image = {alpha: values[f"{alpha:g}/id_val/id_val"].tolist() for alpha in validated}
    scores = {alpha: metrics["rsum"] / 6 for alpha, metrics in validated.items()}
    assert results.row("r-adapter").alpha == smallest_within(scores, of_image)
    assert "paired standard error" in results.selection.rule


def test_killed_and_resumed_is_bitwise_the_uninterrupted_run(tmp_path: Path, done, pairs, recipe):
    folder, whole = done
    with pytest.raises(Interrupted, match="step 2 of"):
        run(tmp_path / "cut", pairs, recipe, report=stop_at(2))
    resumed = run(tmp_path / "cut", pairs, recipe, resume=True)
    assert same(tensors(folder), tensors(tmp_path / "cut"))
    assert resumed.sweep == whole.sweep


def test_a_run_reloaded_gives_its_reported_figures(done, pairs):
    folder, results = done
    encoder = radapter.load("world:tiny")
    again = evaluate_run(folder, encoder, Evaluator(pairs, encoder))
    assert again.task == "retrieval"
    assert again.row("r-adapter").id_mean == pytest.approx(results.row("r-adapter").id_mean, abs=0.01)


def test_a_run_merges_to_the_encoder_alone(tmp_path: Path, done):
    folder, _ = done
    merge_run(folder, radapter.load("world:tiny"), to=tmp_path / "merged", format=None, alpha=0.8)
    names = {file.name for file in (tmp_path / "merged").iterdir()}
    assert not names & {"classifier.safetensors", "classes.json"}
    merged = radapter.load(str(tmp_path / "merged")).eval()
    trained = load_trained(folder, radapter.load("world:tiny"))
    tokens = merged.tokenize(["a red car", "a sketch of a dog"])
    with torch.no_grad(), trained.interpolation() as line, line.at(0.8):
        expected = trained.classifier.encoder.encode_text(tokens)
        assert torch.allclose(merged.encode_text(tokens), expected, atol=1e-5)


def test_sets_with_the_same_captions_share_their_features(pairs):
    encoder = radapter.load("world:tiny")
    loaders = eval_loaders(
        pairs, encoder.preprocess, roles=("id", "ood"), batch_size=8, max_bad=0, workers=0, memory=None
    )
    measures = pairs.measures(Classifier(encoder, None), loaders)
    assert measures["id/photo"].prepare is measures["ood/grey"].prepare
    assert measures["id/photo"].prepare is not measures["ood/named"].prepare


def test_training_gets_no_test_set(pairs):
    with pytest.raises(LeakError, match=r"data\.ood was asked for"):
        list(pairs.sealed().ood)


def test_groups_hold_the_methods_that_the_task_has():
    names = [method.name for method in find_methods(["foundation"], "retrieval")]
    assert names == ["zero-shot", "full-both-towers", "lora", "wise-ft", "r-adapter"]
    everything = {method.name for method in find_methods(["all"], "retrieval")}
    assert everything == {name for name, row in TABLES["retrieval"].items() if row.part_of is None}
    with pytest.raises(ConfigError, match=r"for retrieval\. Got 'flyp'"):
        find_methods(["flyp"], "retrieval")


def test_a_comparison_of_retrieval_leaves_its_tables(tmp_path: Path, pairs, recipe):
    recipe = replace(recipe, epochs=1)
    store = RunStore(tmp_path / "trainings", lambda: radapter.load("world:tiny"), lambda _: pairs, recipe)
    methods = [RETRIEVAL["full-both-towers"], RETRIEVAL["wise-ft"]]
    found = compare_methods(methods, store, grids={"full-both-towers": [1e-4]}, seeds=[0, 1])
    text = write_study(tmp_path / "out", found.report(), title="A comparison", command="python run.py")
    assert "rsum / 6 on ID validation" in text
    assert "| Method | Alpha | I2T R@1 |" in text
    table = csv.DictReader(io.StringIO((tmp_path / "out" / "results.csv").read_text()))
    full = next(row for row in table if row["method"] == "full-both-towers")
    mean = sum(result.row("full-both-towers").ood["grey"]["t2i_r5"] for result in found.results) / 2
    assert float(full["ood:grey:t2i_r5"]) == pytest.approx(mean)
    assert full["ood:grey:t2i_r5_std"] != ""
    assert "OOD T2I R@1" in (tmp_path / "out" / "results.tex").read_text()
    assert (tmp_path / "out" / "frontier.png").is_file()


def test_zero_shot_is_evaluated_once_for_all_methods(pairs, encoder):
    seen: list[str] = []
    environment = Environment(evaluated=lambda step: seen.append(step.name))
    evaluator = Evaluator(pairs, encoder, environment=environment)
    zero_shot = evaluator.zero_shot(encoder)
    record = TrainingRecord(
        method="full-both-towers", trained_parameters=0, learning_rate=None, epochs=1, epoch=None, seconds=0.0
    )
    trained = Trained(record, Classifier(encoder, None), adapters=None, base="", before={})
    seen.clear()
    rows = evaluator.sweep(trained, zero_shot, (0.0, 1.0)).rows
    assert [row.alpha for row in rows] == [0.0, 1.0]
    assert sorted(set(seen)) == ["id/photo", "id_val/id_val", "ood/grey", "ood/named"]  # alpha 1 alone
