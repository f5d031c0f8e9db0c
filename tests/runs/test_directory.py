import json
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel
from runs.running import run, same, stop_at, tensors

import radapter
from radapter.comparison.compare import compare_at_seed
from radapter.comparison.store import RunStore
from radapter.data import Memory
from radapter.errors import ConfigError, RunError
from radapter.methods import METHODS
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, evaluate_run, run_method
from radapter.runs.evaluator import Evaluator
from radapter.runs.fine_tuning import train_method
from radapter.runs.merging import merge_run
from radapter.runs.results import Results
from radapter.runs.weights import load_trained
from radapter.storage import lock
from radapter.tasks.recipe import Recipe
from radapter.training import Environment, Evaluated, Interrupted
from radapter.world import TINY
from radapter.zeroshot import Classifier

CHOSEN = AlphaRule(tested="chosen")
TRAINED = ["full", "flyp", "lora", "wise-ft", "r-adapter", "r-adapter+head"]


@pytest.fixture(scope="module")
def suite(suite):
    """The small suite with 16 images of each other set: every alpha reads all of them."""

    def fewer(data):
        return data.subset(list(range(16)))

    id_test, ood = ({name: fewer(data) for name, data in sets.items()} for sets in (suite.id_test, suite.ood))
    return replace(suite, id_val=fewer(suite.id_val), id_test=id_test, ood=ood)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, suite, recipe):
    """Gives the folder and the results of a finished run of a method, made once; tests only read it."""

    @cache
    def of(method: str = "r-adapter") -> tuple[Path, Results]:
        folder = tmp_path_factory.mktemp("finished") / "run"
        return folder, run(folder, suite, recipe, method)

    return of


def evaluator(encoder, suite) -> Evaluator:
    return Evaluator(suite, encoder, environment=Environment(memory=Memory()))


@pytest.mark.parametrize("method", ["full", "lora", "r-adapter", "r-adapter+head"])
def test_killed_and_resumed_is_bitwise_the_uninterrupted_run(
    tmp_path: Path, suite, recipe, finished, method: str
):
    folder, whole = finished(method)
    with pytest.raises(Interrupted, match="step 3 of 8"):
        run(tmp_path / "cut", suite, recipe, method, report=stop_at(3))
    resumed = run(tmp_path / "cut", suite, recipe, method, resume=True)
    assert same(tensors(folder), tensors(tmp_path / "cut"))
    assert resumed.sweep == whole.sweep


def test_a_run_stopped_before_the_validation_of_an_epoch_chooses_the_same_epoch(
    tmp_path: Path, suite, recipe
):
    recipe = replace(recipe, keep="best")
    run(tmp_path / "whole", suite, recipe, rule=CHOSEN)
    for step in (4, 8):
        cut = tmp_path / f"cut-{step}"
        with pytest.raises(Interrupted, match=f"step {step} of 8"):
            run(cut, suite, recipe, rule=CHOSEN, report=stop_at(step))
        run(cut, suite, recipe, rule=CHOSEN, resume=True)
        assert same(tensors(tmp_path / "whole"), tensors(cut))


def test_a_run_is_not_resumed_with_other_data_or_another_base_model(tmp_path: Path, suite, recipe):
    with pytest.raises(Interrupted):
        run(tmp_path, suite, recipe, report=stop_at(3))
    fewer = replace(suite, train=suite.train.subset(list(range(50))))
    with pytest.raises(RunError, match="train: 60 samples before, 50 now"):
        run(tmp_path, fewer, recipe, resume=True)
    other = radapter.load("world:tiny")
    with torch.no_grad():
        next(other.parameters()).add_(0.05)
    with pytest.raises(RunError, match="base model: fingerprint"):
        run_method(RunDirectory(tmp_path, "a: 1\n", resume=True), METHODS["r-adapter"], other, suite, recipe)


def test_metrics_hold_every_step_once_after_a_resume(tmp_path: Path, suite, recipe):
    recipe = replace(recipe, checkpoint_every=2)
    with pytest.raises(Interrupted):
        run(tmp_path, suite, recipe, report=stop_at(5))
    newest = max((tmp_path / "checkpoints").iterdir())
    (newest / "manifest.json").unlink()  # the newest is damaged: step 4 counts, and step 5 is done again
    run(tmp_path, suite, recipe, rule=CHOSEN, resume=True)
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))


def test_a_finished_run_is_read_and_not_done_again(suite, recipe, finished):
    folder, first = finished()
    written = (folder / "results.json").stat().st_mtime_ns
    assert run(folder, suite, recipe, resume=True) == first
    assert (folder / "results.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("method", TRAINED)
def test_a_run_reloaded_gives_its_reported_figures(suite, finished, method: str):
    folder, results = finished(method)
    encoder = radapter.load("world:tiny")
    again = evaluate_run(folder, encoder, evaluator(encoder, suite))
    row, other = results.row(method), again.row(method)
    assert other.alpha == row.alpha
    assert other.id_mean == pytest.approx(
        row.id_mean, abs=1 / 16 + 1e-9
    )  # one image of 16 may sit on the edge
    assert other.id["photo"]["nll"] == pytest.approx(row.id["photo"]["nll"], rel=1e-4)
    assert other.ood["sketch"]["nll"] == pytest.approx(row.ood["sketch"]["nll"], rel=1e-4)


def test_plain_peft_reads_the_adapter_and_gives_the_reported_figures(tmp_path: Path, suite, recipe):
    results = run(tmp_path, suite, recipe, rule=AlphaRule(0.3, "chosen"))
    encoder = radapter.load("world:tiny")
    PeftModel.from_pretrained(encoder.module, tmp_path / "adapter")
    row = (
        evaluator(encoder, suite).zero_shot(encoder).rows[0]
    )  # the model as it is, which now is the adapted one
    assert row.id["photo"]["nll"] == pytest.approx(results.row("r-adapter").id["photo"]["nll"], rel=1e-4)
    assert row.id["photo"]["nll"] != pytest.approx(results.row("zero-shot").id["photo"]["nll"], rel=1e-3)
    assert PeftConfig.from_pretrained(tmp_path / "adapter").base_model_name_or_path == str(TINY)
    card = (tmp_path / "adapter" / "README.md").read_text()
    assert 'radapter.load("world:tiny")' in card
    assert "More Information Needed" not in card


@pytest.mark.parametrize("method", TRAINED)
def test_alpha_zero_is_the_zero_shot_model(suite, recipe, method: str):
    trained = train_method(METHODS[method], radapter.load("world:tiny"), suite, recipe, seed=0)
    encoder = radapter.load("world:tiny")
    zero_shot = evaluator(encoder, suite).zero_shot(encoder).rows[0]
    at_zero = evaluator(encoder, suite).sweep(trained, None, (0.0,)).rows[0]
    for name in ("sketch", "neon"):
        assert at_zero.ood[name]["top1"] == zero_shot.ood[name]["top1"]
        assert at_zero.ood[name]["nll"] == pytest.approx(zero_shot.ood[name]["nll"], rel=1e-5)


def test_the_sweep_of_merged_weights_is_the_adapter_re_scaled(suite, recipe):
    trained = train_method(METHODS["r-adapter"], radapter.load("world:tiny"), suite, recipe, seed=0)
    encoder = trained.classifier.encoder
    swept = evaluator(encoder, suite).sweep(trained, None, (0.3,)).rows[0]
    with radapter.set_alpha(encoder, 0.3):
        adapted = evaluator(encoder, suite).zero_shot(encoder).rows[0]
    assert swept.id["photo"]["nll"] == pytest.approx(adapted.id["photo"]["nll"], rel=1e-4)


@pytest.mark.parametrize("method", ["wise-ft", "lora", "r-adapter"])
def test_a_run_merges_to_a_plain_model_at_the_asked_alpha(tmp_path: Path, finished, method: str):
    folder, _ = finished(method)
    merge_run(folder, radapter.load("world:tiny"), to=tmp_path / "merged", format="transformers", alpha=0.4)
    merged = radapter.load(str(tmp_path / "merged")).eval()
    trained = load_trained(folder, radapter.load("world:tiny"))
    pixels = torch.randn(2, 3, merged.image_size, merged.image_size)
    with torch.no_grad(), trained.interpolation() as interpolation, interpolation.at(0.4):
        expected = trained.classifier.encoder.encode_image(pixels)
    with torch.no_grad():
        assert torch.allclose(merged.encode_image(pixels), expected, atol=1e-5)


def test_another_base_model_is_refused_with_both_fingerprints(finished):
    folder, _ = finished()
    other = radapter.load("world:tiny")
    with torch.no_grad():
        next(iter(other.parameters())).add_(1e-3)
    with pytest.raises(RunError) as error:
        load_trained(folder, other)
    about = json.loads((folder / "trained.json").read_text())
    assert about["fingerprint"] in str(error.value)
    assert radapter.fingerprint(other) in str(error.value)


def test_an_unfinished_run_is_no_run(tmp_path: Path, encoder):
    with pytest.raises(RunError, match="finished run"):
        load_trained(tmp_path, encoder)


def test_a_second_process_is_kept_out(tmp_path: Path, suite, recipe):
    with lock(tmp_path), pytest.raises(RunError, match="in use"):
        run(tmp_path, suite, recipe)


def test_auto_alpha_without_validation_is_refused(tmp_path: Path, suite, recipe):
    with pytest.raises(ConfigError, match="id_val"):
        run(tmp_path, replace(suite, id_val=None), recipe)


def test_comparison_trains_wise_ft_and_full_once(tmp_path: Path, suite, recipe):
    started: list[str] = []
    methods = [METHODS[name] for name in ("full", "wise-ft")]
    store = RunStore(
        tmp_path, lambda: radapter.load("world:tiny"), lambda _: suite, recipe, starting=started.append
    )
    results = compare_at_seed(methods, store, seed=0)
    assert [line.split(",")[0] for line in started] == ["training full"]
    assert [row.method for row in results.rows] == ["zero-shot", "full", "wise-ft"]
    assert results.row("full").alpha == 1.0
    assert {row.method for row in results.sweep} == {"zero-shot", "full", "wise-ft"}
    assert results.selection.split == "id_val"


@pytest.mark.parametrize("method", ["flyp", "lora"])
def test_the_alpha_of_every_trained_method_is_chosen(finished, method: str):
    _, results = finished(method)
    row = results.row(method)
    assert row.selection is not None
    assert (row.selection.split, row.selection.n, results.selection) == ("id_val", 16, row.selection)
    assert row.alpha <= row.selection.best_alpha


def test_test_sets_are_evaluated_at_the_chosen_alphas_alone(tmp_path: Path, suite, recipe, finished):
    steps: list[Evaluated] = []
    chosen = run(tmp_path / "few", suite, recipe, rule=CHOSEN, evaluated=steps.append)
    _, every = finished()
    alpha = every.row("r-adapter").alpha
    assert [row.alpha for row in chosen.sweep[1:]] == sorted({0.0, alpha, 0.5, 1.0})
    assert chosen.sweep[1:] == [row for row in every.sweep[1:] if row.alpha in {0.0, alpha, 0.5, 1.0}]
    assert chosen.rows[1].figures() == every.rows[1].figures()
    alphas = {step.name: step.alphas for step in steps[len(steps) // 3 :]}
    assert alphas["id_val/id_val"] == 10  # alpha 0 is known
    assert alphas["ood/neon"] == len({alpha, 0.5, 1.0} - {0.0})


def test_listed_alphas_come_beside_those_that_tables_show(tmp_path: Path, suite, recipe):
    results = run(tmp_path, suite, recipe, rule=AlphaRule(0.7, [0.2, 0.3]))
    assert [row.alpha for row in results.sweep[1:]] == [0.0, 0.2, 0.3, 0.7, 1.0]


def test_progress_counts_to_the_true_total_and_has_the_time_of_each_set(suite, recipe):
    steps: list[Evaluated] = []
    encoder = radapter.load("world:tiny")
    environment = Environment(evaluated=steps.append)
    Evaluator(suite, encoder, Recipe(eval_batch_size=16), environment).states(
        "twice", Classifier(encoder, None), lambda _: nullcontext(), (0.0, 1.0)
    )
    assert steps[-1].done == steps[-1].total == 2 * 4 * 16
    ended = [(step.name, step.images, step.alphas) for step in steps if step.seconds is not None]
    assert ended == [(name, 16, 2) for name in ("id_val/id_val", "id/photo", "ood/sketch", "ood/neon")]


def test_evaluation_has_a_time_of_its_own(finished):
    _, results = finished()
    assert results.evaluation_seconds > 0
