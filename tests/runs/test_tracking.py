import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure

from radapter.errors import MissingExtraError
from radapter.runs.trackers import Drawn, Tracked, check_tracking
from radapter.runs.tracking import METRICS, tracked
from radapter.training import Progress


def step(number: int) -> Progress:
    return Progress(
        step=number,
        steps=2,
        epoch=0,
        loss=0.5,
        learning_rate=1e-3,
        gradient_norm=1.0,
        images_per_second=9.0,
        skipped=0,
    )


RUN = Tracked("shapes", "first", "seed: 7\ntrain: {epochs: 2, lr: null}\n")


def log_two_steps(folder: Path, tracking, run: Tracked | None = None) -> list[int]:
    """Logs two steps, one validated epoch and the results."""
    with tracked(folder, tracking, run) as log:
        log.step(step(1))
        log.step(step(2))
        log.epoch(0, {"top1": 0.25})
        log.results(Drawn(("Method", "ID"), [("zero-shot", "62.5")], "| Method | ID |", figure()))
    return [json.loads(line)["step"] for line in (folder / METRICS).read_text().splitlines()]


def figure() -> Figure:
    drawn = Figure(figsize=(1, 1))
    drawn.subplots().plot([0, 1], [0, 1])
    return drawn


def test_tensorboard_has_steps_epochs_settings_and_results(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard absent: pip install 'radapter[tracking]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert log_two_steps(tmp_path, "tensorboard", RUN) == [1, 2]
    events = EventAccumulator(str(next((tmp_path / "tensorboard").glob("events.out.tfevents.*"))))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("loss")] == [1, 2]
    assert [scalar.value for scalar in events.Scalars("id_val/top1")] == [0.25]
    assert events.Tags()["images"] == ["frontier"]
    assert events.Tensors("results/text_summary")[0].tensor_proto.string_val == [b"| Method | ID |"]
    settings = yaml.safe_load(next(tmp_path.rglob("hparams.yml")).read_text())
    assert settings == {"seed": 7, "train.epochs": 2, "train.lr": "None"}


def test_wandb_has_the_names_and_receives_everything_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb absent: pip install 'radapter[tracking]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert log_two_steps(tmp_path, "wandb", RUN) == [1, 2]
    content = next(tmp_path.rglob("*.wandb")).read_bytes()
    for word in (b"shapes", b"first", b"train.epochs", b"id_val/top1", b"frontier", b"results"):
        assert word in content
    assert [file.suffix for file in tmp_path.rglob("*frontier*")] == [".png"]


def test_trackio_has_the_names_and_receives_everything(tmp_path):
    pytest.importorskip("trackio", reason="trackio absent: pip install 'radapter[tracking]'")
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_tracking import RUN, log_two_steps
log_two_steps(Path({str(tmp_path)!r}), "trackio", RUN)
"""
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=environment)
    with closing(sqlite3.connect(tmp_path / "trackio" / "shapes.db")) as database:
        rows = database.execute("select run_name, step, metrics from metrics order by id").fetchall()
        ((settings,),) = database.execute("select config from configs").fetchall()
    found = [(name, number, json.loads(metrics)) for name, number, metrics in rows]
    assert [(name, number) for name, number, of in found if "loss" in of] == [("first", 1), ("first", 2)]
    assert {key for _, _, of in found for key in of} >= {"id_val/top1", "results", "frontier"}
    assert json.loads(settings)["train.epochs"] == 2


def test_mlflow_has_the_names_and_receives_everything(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow absent: pip install 'radapter[mlflow]'")
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert log_two_steps(tmp_path, "mlflow", RUN) == [1, 2]
    (run,) = mlflow.search_runs(experiment_names=["shapes"], output_format="list")
    assert run.info.run_name == "first"
    assert run.data.params["train.epochs"] == "2"
    assert run.data.metrics["id_val/top1"] == 0.25


def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("radapter.runs.trackers.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'radapter\[tracking\]'"):
        check_tracking("trackio")


def test_a_loss_that_is_no_number_is_null_and_every_line_is_json(tmp_path):
    def refuse(name: str) -> None:
        raise AssertionError(name)

    with tracked(tmp_path, "none") as log:
        log.step(replace(step(1), loss=float("nan"), gradient_norm=float("inf")))
    line = json.loads((tmp_path / METRICS).read_text(), parse_constant=refuse)
    assert (line["step"], line["loss"], line["gradient_norm"]) == (1, None, None)


def test_a_log_that_a_crash_left_full_of_nulls_loses_its_damaged_lines_alone(tmp_path):
    assert log_two_steps(tmp_path, "none") == [1, 2]
    first = (tmp_path / METRICS).read_bytes().splitlines(keepends=True)[0]
    damaged = b"\x00" * 40 + b"\n\xff\xfe{\n" + first[:9] + b"\n[]\n7\n" + b"\x00" * 99
    (tmp_path / METRICS).write_bytes(first + damaged)
    with tracked(tmp_path, "none") as log:
        log.step(step(2))
    assert [json.loads(line)["step"] for line in (tmp_path / METRICS).read_text().splitlines()] == [1, 2]


def test_a_tracker_that_fails_at_the_end_is_reported_and_ends_nothing(tmp_path, caplog):
    pytest.importorskip("tensorboard")
    with tracked(tmp_path, "tensorboard") as log:
        log.results(None)
    assert "results were not sent to tensorboard: AttributeError" in caplog.text
