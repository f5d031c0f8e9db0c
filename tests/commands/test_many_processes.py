"""`radapter` as a launcher starts it: one run, one voice, one exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image
from processes import command
from processes.start import TIMEOUT, start

from radapter.storage import load_weights
from radapter.world import CLASSES
from radapter_cli import app, data_app

TINY_RUN = (
    "train.epochs=1",
    "train.batch_size=15",
    "train.eval_batch_size=16",
    "data.train={world: train, size: 40}",
    "data.id_val={world: id_val, size: 21}",
    "data.id_test={world: id_test, size: 19}",
    "data.ood={sketch: {world: sketch, size: 3}}",
)
COMMANDS = {
    command.callback.__name__.replace("_", " "): command.callback
    for command in (*app.registered_commands, *data_app.registered_commands)
}


class Together:
    """What two processes of one command said and how they ended."""

    def __init__(self, folder: Path, *arguments: object, work=command.run) -> None:
        self.codes = start(work, 2, str(folder), *map(str, arguments))
        self.printed, self.said = (_words(folder / f"0.{name}") for name in ("out", "err"))
        self.other = "".join(_words(folder / f"1.{name}") for name in ("out", "err"))


def _words(file: Path) -> str:
    """What radapter says: up to 2.9 torch prints lines of its own for every group of processes."""
    lines = file.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("[Gloo] "))


@pytest.fixture(scope="module")
def run_of_one(tmp_path_factory, radapter, written):
    folder = tmp_path_factory.mktemp("one") / "run"
    assert radapter("train", written, *TINY_RUN, "--out", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory, written):
    """A run of two processes, and what they said."""
    folder = tmp_path_factory.mktemp("two")
    return folder / "run", Together(folder, "train", written, *TINY_RUN, "--out", folder / "run")


def results_of(run: Path):
    return json.loads((run / "results.json").read_text())


def test_two_processes_give_the_results_of_one(run_of_one, shared_run):
    run, answer = shared_run
    assert answer.codes == [0, 0]
    one, two = results_of(run_of_one), results_of(run)
    assert two["rows"][0] == one["rows"][0]  # zero-shot: the same batches, the same weights
    assert two["selection"] == one["selection"]
    for row, other in zip(two["sweep"], one["sweep"], strict=True):
        # float32 over three steps: single images near a boundary may fall elsewhere
        assert row["id_mean"] == pytest.approx(other["id_mean"], abs=1.5 / 19)
        assert row["id"]["id_test"]["nll"] == pytest.approx(other["id"]["id_test"]["nll"], rel=1e-3)


def test_no_thread_of_the_backend_is_left_when_python_shuts_down(shared_run):
    run, _ = shared_run
    for rank in range(2):
        threads = (run.parent / f"{rank}.threads").read_text()
        assert "python" in threads
        assert "gloo" not in threads


def test_the_main_process_alone_speaks_and_writes(run_of_one, shared_run):
    run, answer = shared_run
    assert answer.other == ""
    assert "r-adapter" in answer.printed
    assert "Next:" in answer.printed
    assert answer.said.count("step 3 of 3") == 1
    assert {f.name for f in run.iterdir()} == {f.name for f in run_of_one.iterdir()}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert not list(run.parent.rglob("*.part"))


def test_a_run_that_is_there_already_is_refused_once(shared_run, written, tmp_path):
    answer = Together(tmp_path, "train", written, *TINY_RUN, "--out", shared_run[0])
    assert answer.codes == [2, 2]
    assert answer.said.count("holds this run already") == 1
    assert answer.other == ""


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.batch_size=1"], "train.batch_size must be at least the number of processes, 2"),
        (["method.drop_kind=dropout"], "method.drop_kind dropout draws elements from a generator"),
        (["train.fsdp=true", "train.chunk_size=4"], "train.fsdp does not go with train.chunk_size=4"),
        (["train.fsdp=true", "train.keep=best"], "train.fsdp does not go with train.keep=best"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(written, tmp_path, overrides, words):
    answer = Together(tmp_path, "train", written, *TINY_RUN, *overrides, "--out", tmp_path / "run")
    assert answer.codes == [2, 2]
    assert words in answer.said
    assert answer.other == ""
    assert not (tmp_path / "run").exists()


def test_fsdp_by_one_process_is_refused(radapter, written, tmp_path):
    answer = radapter("train", written, *TINY_RUN, "train.fsdp=true", "--out", tmp_path / "run")
    assert answer.code == 2
    assert "train.fsdp shards the weights across processes. There is one." in answer.said


def test_fsdp_by_two_processes_gives_the_results_of_one(run_of_one, written, tmp_path):
    run = tmp_path / "run"
    answer = Together(tmp_path, "train", written, *TINY_RUN, "train.fsdp=true", "--out", run)
    assert answer.codes == [0, 0], answer.said
    one, two = results_of(run_of_one)["sweep"][-1], results_of(run)["sweep"][-1]
    assert two["id"]["id_test"]["nll"] == pytest.approx(one["id"]["id_test"]["nll"], rel=1e-3)


def test_data_that_one_process_does_not_find_end_all_and_the_main_one_tells_it(tmp_path):
    for name in CLASSES[:2]:
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name / "1.png")
    arguments = ("evaluate", "world:tiny", "--data", "photos")
    answer = Together(tmp_path, *arguments, work=command.run_elsewhere)
    assert answer.codes == [2, 2]
    assert "'photos'" in answer.said
    assert "In process 1 of 2." in answer.said
    assert answer.other == answer.printed == ""


def test_sigterm_in_one_process_stops_all_with_130_and_they_resume_to_the_same_weights(
    shared_run, written, tmp_path
):
    arguments = ("train", written, *TINY_RUN, "--out", tmp_path / "run")
    answer = Together(tmp_path, *arguments, work=command.run_stopped)
    assert answer.codes == [130, 130]
    assert "stopped after step 1 of 3" in answer.said
    assert "the same command and --resume" in answer.said
    assert answer.other == ""
    assert not (tmp_path / "run" / "results.json").exists()
    assert Together(tmp_path, *arguments, "--resume").codes == [0, 0]
    whole, resumed = (
        load_weights(run / "adapter" / "adapter_model.safetensors")
        for run in (shared_run[0], tmp_path / "run")
    )
    assert all((whole[name] == resumed[name]).all() for name in whole)


def test_a_process_that_is_killed_ends_the_others_with_2_and_is_no_fault_of_radapter(written, tmp_path):
    arguments = ("train", written, *TINY_RUN, "--out", tmp_path / "run")
    answer = Together(tmp_path, *arguments, work=command.run_killed)
    assert answer.codes == [2, -signal.SIGKILL]
    assert "Process 0 of 2 lost them" in answer.said
    assert "Traceback" not in answer.said
    assert "fault of radapter" not in answer.said


@pytest.mark.slow
def test_a_process_that_hangs_is_given_up_after_the_time_that_the_user_sets(written, tmp_path):
    arguments = ("train", written, *TINY_RUN, "train.timeout_minutes=1", "--out", tmp_path / "run")
    answer = Together(tmp_path, *arguments, work=command.run_hanging)
    assert answer.codes[0] == 2, answer.said
    assert "given up after train.timeout_minutes" in answer.said
    assert "fault of radapter" not in answer.said


@pytest.mark.slow
def test_torchrun_starts_a_killed_run_again_with_one_command_to_the_same_weights(
    shared_run, written, tmp_path
):
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    asked = ["train", written, *TINY_RUN, "train.checkpoint_every=1", "--out", tmp_path / "run", "--resume"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "processes.killed_once", *asked],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("has no run yet. Starting one.") == 1
    whole, again = (
        load_weights(run / "adapter" / "adapter_model.safetensors")
        for run in (shared_run[0], tmp_path / "run")
    )
    assert all((whole[name] == again[name]).all() for name in whole)


def test_evaluate_counts_every_image_once_and_prints_once(radapter, tmp_path):
    arguments = ("evaluate", "world:tiny", "--data", "{world: sketch, size: 7}", "--metric", "nll")
    alone, together = radapter(*arguments), Together(tmp_path, *arguments)
    assert together.codes == [0, 0]
    assert together.other == ""
    assert together.printed.split() == alone.printed.split()


def test_a_command_that_is_not_shared_tells_so_once(written, tmp_path):
    answer = Together(tmp_path, "sweep", written)
    assert answer.codes == [2, 2]
    assert "radapter sweep runs in one process. The launcher started 2." in answer.said
    assert answer.other == ""


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"train", "evaluate"}))
def test_every_command_but_two_refuses_several_processes(name, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(typer.Exit) as end:
        COMMANDS[name]()
    assert end.value.exit_code == 2
    assert f"radapter {name} runs in one process. The launcher started 2." in capsys.readouterr().err


@pytest.mark.slow
def test_torchrun_starts_the_command_line(run_of_one, written, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", "radapter_cli", "train", written, *TINY_RUN, "--out", tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert results_of(tmp_path / "run")["rows"][0] == results_of(run_of_one)["rows"][0]
