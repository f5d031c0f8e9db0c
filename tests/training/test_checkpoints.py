import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from radapter.errors import RunError
from radapter.manifests import write_manifest
from radapter.storage import read_json, write_json
from radapter.training.checkpoints import Checkpoint, Checkpoints, Stopwatch


def make(step: int) -> Checkpoint:
    torch.manual_seed(step)
    return Checkpoint(
        step=step,
        parameters={"a.weight": torch.randn(3, 2), "b": torch.randn(())},
        average={"a.weight": torch.randn(3, 2)},
        optimizer={0: {"step": torch.tensor(7.0), "exp_avg": torch.randn(3, 2)}},
        counters={"skipped": 2, "skipped_in_a_row": 0},
        scaler={},
        seconds=1.5,
    )


def same(first: Checkpoint, second: Checkpoint) -> bool:
    bare = [replace(c, parameters={}, average={}, optimizer={}) for c in (first, second)]
    return bare[0] == bare[1] and all(
        torch.equal(a[name], b[name])
        for a, b in (
            (first.parameters, second.parameters),
            (first.average, second.average),
            (first.optimizer[0], second.optimizer[0]),
        )
        for name in a
    )


def test_a_checkpoint_comes_back_bitwise(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(make(5))
    newest = checkpoints.newest()
    assert newest is not None
    assert same(newest, make(5))


def test_the_newest_counts_and_old_ones_go(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 20, 3):
        checkpoints.save(make(step))
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 20
    assert sorted(f.name for f in tmp_path.iterdir()) == ["step-00000003", "step-00000020"]


@pytest.mark.parametrize("damage", ["flip a bit", "lose a file", "lose the manifest"])
def test_a_damaged_checkpoint_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(make(1))
    folder = checkpoints.save(make(2))
    if damage == "flip a bit":
        content = bytearray((folder / "parameters.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / "parameters.safetensors").write_bytes(content)
    else:
        (
            folder / {"lose a file": "average.safetensors", "lose the manifest": "manifest.json"}[damage]
        ).unlink()
    with caplog.at_level(logging.WARNING):
        newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 1
    assert "step-00000002" in caplog.text


def test_no_checkpoint_is_none(tmp_path: Path):
    assert Checkpoints(tmp_path / "absent").newest() is None


def test_a_checkpoint_from_before_seconds_were_kept_has_none(tmp_path: Path):
    folder = Checkpoints(tmp_path).save(make(1))
    state = read_json(folder / "state.json")
    del state["seconds"]
    write_json(folder / "state.json", state)
    write_manifest(folder)
    newest = Checkpoints(tmp_path).newest()
    assert newest is not None
    assert newest.seconds == 0.0


def test_checkpoints_that_are_all_damaged_are_an_error(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        (checkpoints.save(make(step)) / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"All 2 in .* are damaged\. Restore one .* or remove the folder"):
        checkpoints.newest()


def test_folders_of_similar_names_are_no_checkpoints(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for name in ("step-best", "step-keep", "step-00000003.old", "step-1"):
        (tmp_path / name).mkdir()
    for step in (1, 2, 3):
        checkpoints.save(make(step))
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 3
    assert {f.name for f in tmp_path.iterdir()} >= {"step-best", "step-keep", "step-00000002", "step-1"}


def test_a_disk_without_space_for_the_checkpoints_is_warned_of(tmp_path: Path, caplog):
    Checkpoints(tmp_path / "new" / "checkpoints").warn_of_space(2**20)
    assert not caplog.text
    Checkpoints(tmp_path / "new" / "checkpoints").warn_of_space(2**50)
    assert "checkpoints and results need about 13958643712 MiB" in caplog.text
    assert f"in '{tmp_path}', which has " in caplog.text


def test_seconds_are_those_since_it_was_made_and_those_before():
    times = iter([100.0, 103.0, 104.0])
    watch = Stopwatch(lambda: next(times))
    assert watch.seconds == 3.0
    watch.add(20.0)
    assert watch.seconds == 24.0
