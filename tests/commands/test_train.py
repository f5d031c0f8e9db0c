"""`radapter train`: what a run folder holds, how it is stopped, resumed and read."""

import json
import signal

import pytest
import torch
from peft import PeftModel

from radapter.config import load_config
from radapter.models import load
from radapter.operations import training
from radapter.operations.bars import Bars
from radapter.storage import load_weights
from radapter.training import Progress


@pytest.fixture
def stopped_at_step_one(monkeypatch):
    """SIGTERM reaches this process when the first step is reported."""

    def stop(bars: Bars, step: Progress) -> None:
        if step.step == 1:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Bars, "report", stop)


def test_run_folder_holds_what_was_promised(run):
    names = {file.name for file in run.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "adapter", "checkpoints", "results.json"} <= names
    assert {"results.md", "frontier.png"} <= names


def test_results_hold_zero_shot_the_method_and_its_sweep(run):
    results = json.loads((run / "results.json").read_text())
    assert [row["method"] for row in results["rows"]] == ["zero-shot", "r-adapter"]
    swept = [row["alpha"] for row in results["sweep"] if row["method"] == "r-adapter"]
    assert swept == pytest.approx([number / 10 for number in range(11)])
    assert (results["schema"], results["selection"]["split"]) == (3, "id_val")


def test_config_of_a_run_is_the_resolved_one(run, radapter):
    config = load_config(run / "config.yaml")
    assert config.train.epochs == 1
    assert config.out == str(run)
    assert "ema_decay: auto" in (run / "config.yaml").read_text()


RATE = "learning rate 0.003: 5e-4 for CLIP ViT-B (R-Adapter's release) x 768 / 128, the image tower's width"


def test_the_learning_rate_that_was_used_stands_beside_the_configured_one(run):
    settings = (run / "config.yaml").read_text()
    assert settings.startswith(f"# {RATE}.")
    assert "lr: null" in settings
    assert json.loads((run / "trained.json").read_text())["learning_rate"] == pytest.approx(3e-3)
    assert json.loads((run / "results.json").read_text())["rows"][1]["learning_rate"] == pytest.approx(3e-3)


def test_train_prints_the_learning_rate_and_where_it_comes_from(radapter, small, run, written):
    answer = radapter("train", written, *small, "--out", run, "--resume")
    assert RATE in " ".join(answer.said.split())


def test_a_run_resumes_whatever_the_file_says_of_comparisons(radapter, small, run, written):
    asked = (*small, "compare={rates: {full: 1e-4}, points: 1}")
    assert radapter("train", written, *asked, "--out", run, "--resume").code == 0


def test_adapter_of_a_run_loads_with_peft_at_the_chosen_alpha(run):
    encoder = load("world:tiny")
    model = PeftModel.from_pretrained(encoder.module, run / "adapter")
    chosen = json.loads((run / "results.json").read_text())["rows"][1]["alpha"]
    assert model.peft_config["default"].alpha == chosen


def test_metrics_have_a_line_for_each_step(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["step"] == lines[-1]["steps"]


def test_a_finished_run_is_read_again_with_resume(radapter, small, run, written):
    before = (run / "results.json").read_bytes()
    answer = radapter("train", written, *small, "--out", run, "--resume")
    assert answer.code == 0
    assert (run / "results.json").read_bytes() == before
    assert "Next:" in answer.printed


def test_sigterm_saves_exits_130_and_tells_how_to_resume_to_the_same_weights(
    radapter, small, run, written, tmp_path, stopped_at_step_one, monkeypatch
):
    out = tmp_path / "stopped"
    answer = radapter("train", written, *small, "--out", out)
    assert answer.code == 130
    assert f"--out {out} --resume" in answer.said
    assert not (out / "results.json").exists()
    monkeypatch.undo()
    assert radapter("train", written, *small, "--out", out, "--resume").code == 0
    whole, resumed = (load_weights(folder / "adapter" / "adapter_model.safetensors") for folder in (run, out))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_sigterm_while_evaluating_exits_130_and_tells_how_to_resume(
    radapter, small, written, tmp_path, monkeypatch
):
    monkeypatch.setattr(Bars, "evaluated", lambda *_: signal.raise_signal(signal.SIGTERM))
    answer = radapter("train", written, *small, "--out", tmp_path / "out")
    assert answer.code == 130
    assert answer.said.rstrip().endswith(f"--out {tmp_path / 'out'} --resume")


def test_a_fault_of_radapter_exits_1_with_the_traceback(radapter, written, small, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("our fault")

    monkeypatch.setattr(training, "load", broken)
    answer = radapter("train", written, *small, "--out", tmp_path / "out")
    assert answer.code == 1
    assert "ZeroDivisionError: our fault" in answer.said
    assert "fault of radapter" in answer.said


def test_ctrl_c_before_training_exits_130(radapter, written, small, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "load", interrupted)
    assert radapter("train", written, *small, "--out", tmp_path / "out").code == 130


@pytest.mark.parametrize("method", ["zero-shot", "wise-ft", "r-adapter+head"])
def test_other_methods_train_from_the_same_file(radapter, small, written, tmp_path, method):
    answer = radapter("train", written, *small, f"method={method}", "--out", tmp_path / "out")
    assert answer.code == 0, answer.result.output
    assert method in answer.printed


def test_a_log_has_a_line_for_each_evaluated_set_and_a_warning_of_few_images(
    radapter, small, written, tmp_path
):
    few = ("data.id_val={world: id_val, size: 30}", "evaluation.alphas=chosen")
    answer = radapter("train", written, *small, *few, "--out", tmp_path / "out")
    said = " ".join(answer.said.split())
    assert "evaluated r-adapter on id_val/id_val, 30 images at 10 alphas:" in said
    assert "evaluated zero-shot on ood/sketch, 40 images at 1 alpha:" in said
    assert "data.id_val has 30 images, few for choosing alpha" in said
    assert "a gain below about 5.8 points" in said
    assert "Evaluation took" in answer.printed
