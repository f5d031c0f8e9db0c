"""`radapter train` ended by signals, killed readers, damage and changed data, and started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from radapter.data import open_classification
from radapter.data.shards.exporting import export_shards

TIMEOUT = 600  # seconds: a busy machine


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labelled") / "shards"
    export_shards(open_classification({"world": "train", "size": 80}), folder, source="w", shard_size=60_000)
    return folder


class Started:
    """A run that reads shards with two processes, in a process group of its own, after its first step."""

    def __init__(self, written: Path, small, shards: Path, out: Path) -> None:
        overrides = (*small, f"data.train={{stream: {shards}, readers: 2, buffer: 1}}", "train.epochs=10000")
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, "-m", "radapter_cli", "train", written, *overrides, "--out", out],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while self.process.poll() is None and not (out / "metrics.jsonl").is_file():
            time.sleep(0.1)

    def readers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self) -> str:
        """What it says on stderr until it ends; what is left of its group is killed."""
        try:
            return self.process.communicate(timeout=TIMEOUT)[1]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_a_signal_to_the_process_group_with_readers_ends_in_a_checkpoint(
    written, small, shards, tmp_path, name
):
    run = Started(written, small, shards, tmp_path / "run")
    os.killpg(run.process.pid, getattr(signal, name))
    said = run.end()
    assert (run.process.returncode, list((run.out / "checkpoints").glob("step-*")) != []) == (130, True), said
    assert "Interrupted: stopped after step" in said


def test_a_killed_reader_ends_in_a_checkpoint_and_a_remedy(written, small, shards, tmp_path):
    run = Started(written, small, shards, tmp_path / "run")
    while run.process.poll() is None:  # every epoch has its readers; one that has done its part is not missed
        with suppress(ProcessLookupError, FileNotFoundError):
            for reader in run.readers():
                os.kill(reader, signal.SIGKILL)
        time.sleep(0.01)
    said = run.end()
    assert run.process.returncode == 2, said
    assert "memory ran out: set fewer 'readers'" in " ".join(said.split())
    assert list((run.out / "checkpoints").glob("step-*"))


def test_resume_starts_a_run_where_there_is_none_and_says_so(radapter, small, written, here):
    Path("out").mkdir()
    Path("out", ".config.yaml.0123abcd.part").touch()  # of a process that was killed at once
    answer = radapter("train", written, *small, "evaluation.alphas=chosen", "--out", "out", "--resume")
    assert answer.code == 0, answer.result.output
    assert "'out' has no run yet. Starting one." in answer.said.replace(str(here) + "/", "")
    assert not Path("out", ".config.yaml.0123abcd.part").exists()


@pytest.fixture
def unfinished(run, tmp_path) -> Path:
    """A copy of a run whose results are yet to come."""
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    return tmp_path / "run"


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(radapter, small, written, unfinished):
    for manifest in (unfinished / "checkpoints").rglob("manifest.json"):
        manifest.unlink()
    answer = radapter("train", written, *small, "--out", unfinished, "--resume")
    assert answer.code == 2
    assert "are damaged. Restore one from a backup, or remove the folder" in " ".join(answer.said.split())
    assert not (unfinished / "results.json").exists()


def test_resume_names_the_set_that_changed(radapter, small, written, unfinished):
    inputs = unfinished / "inputs.json"
    changed = inputs.read_text().replace('"samples": 80', '"samples": 90')
    assert changed != inputs.read_text()
    inputs.write_text(changed)
    answer = radapter("train", written, *small, "--out", unfinished, "--resume")
    assert answer.code == 2
    assert "train: 90 samples before, 80 now" in " ".join(answer.said.split())


def test_a_run_of_an_older_version_resumes(radapter, small, written, unfinished):
    (unfinished / "inputs.json").unlink()
    assert radapter("train", written, *small, "--out", unfinished, "--resume").code == 0
    assert (unfinished / "inputs.json").is_file()
