import json
from dataclasses import replace
from pathlib import Path

import pytest

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


def log_two_steps(folder: Path, tracking) -> list[int]:
    with tracked(folder, tracking) as log:
        log.step(step(1))
        log.step(step(2))
    return [json.loads(line)["step"] for line in (folder / METRICS).read_text().splitlines()]


def test_tensorboard_receives_every_step(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard absent: pip install 'radapter[tracking]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert log_two_steps(tmp_path, "tensorboard") == [1, 2]
    events = EventAccumulator(str(next(tmp_path.rglob("events.out.tfevents.*"))))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("loss")] == [1, 2]


def test_wandb_receives_every_step_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb absent: pip install 'radapter[tracking]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert log_two_steps(tmp_path, "wandb") == [1, 2]
    assert list(tmp_path.rglob("*.wandb"))


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
