"""One training of a soak: its settings, its process, what it left, and the small file systems it may run on."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import children
import yaml

from radapter.storage import load_weights, sha256_of_tensors

RUN: dict[str, Any] = {
    "task": "classification",
    "model": "world:tiny",
    "method": "r-adapter",
    "data": {
        "train": {"world": "train", "size": 60},
        "id_val": {"world": "id_val", "size": 100},
        "id_test": {"world": "id_test", "size": 20},
        "ood": {"sketch": {"world": "sketch", "size": 3}},
        "templates": "short",
    },
    "select": {"alpha": 0.5},
    "evaluation": {"alphas": [0.0, 0.5, 1.0]},
    "train": {"epochs": 5, "batch_size": 15, "lr": 1e-2, "checkpoint_every": 1},
}
"""20 steps, a checkpoint after each."""


class NotPossibleError(Exception):
    """The machine does not allow what a row needs."""


@dataclass(frozen=True)
class Usage:
    """Memory in KiB, open file handles and threads of a process."""

    resident: int
    handles: int
    threads: int


def written(folder: Path, changes: dict[str, dict[str, object]] | None = None) -> Path:
    """Write a run.yaml into a folder; `changes` replace settings of its sections."""
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(RUN)
    for section, values in (changes or {}).items():
        config[section].update(values)
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def train_arguments(run: Path, folder: Path) -> tuple[str, ...]:
    """The one command that starts a run and continues it."""
    return ("train", str(run), "--resume", "--out", str(folder / "run"))


def train(folder: Path, run: Path, imitation: str | None = None) -> BaseProcess:
    """Start a training in a child process."""
    return children.start(children.command, folder / "log", train_arguments(run, folder), imitation)


def finished(folder: Path, run: Path, imitation: str | None = None) -> str:
    """Train until the end. Returns a hash of the evaluated weights with the ID results."""
    process = train(folder, run, imitation)
    process.join()
    return outcome(folder) if process.exitcode == 0 else f"exit code {process.exitcode}"


def outcome(folder: Path) -> str:
    """A hash of the evaluated weights with the ID results."""
    run = folder / "run"
    rows = json.loads((run / "results.json").read_text())["rows"]
    weights = load_weights(run / "adapter" / "adapter_model.safetensors")
    return sha256_of_tensors(sorted(weights.items())) + json.dumps([row["id"] for row in rows])


def torchrun(run: Path, folder: Path, *, restarts: int) -> list[str]:
    """The command line of two processes under torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    options = ["--monitor-interval=0.1", f"--max-restarts={restarts}"]
    return [*launcher, *options, "-m", "radapter_cli", *train_arguments(run, folder)]


def run_command(folder: Path, *arguments: str) -> None:
    """Run a command to its end; it must succeed."""
    process = children.start(children.command, folder / "log", arguments)
    process.join()
    check(process.exitcode == 0, folder)


def steps_done(folder: Path) -> int:
    """How many steps a run has logged."""
    file = folder / "run" / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def log(folder: Path) -> str:
    """What the processes of a run printed."""
    return (folder / "log").read_text()


def check(holds: bool, folder: Path) -> None:
    """Stop a row that cannot do its harm."""
    if not holds:
        raise RuntimeError(f"a process ended in another way than the row needs:\n{log(folder)}")


def usage(pid: int | None) -> Usage:
    """What a process holds."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    handles = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Usage(int(status["VmRSS"].split()[0]), handles, int(status["Threads"]))


def children_of(pid: int | None) -> list[int]:
    """The processes that a process has started."""
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(pid: int) -> None:
    """SIGKILL, to a process that may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for(reached: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing happened for {seconds} s")
        time.sleep(0.01)


def wait_for_steps(folder: Path, process: BaseProcess, steps: int) -> None:
    """Wait until a run has logged so many steps, or its process has ended."""
    wait_for(lambda: steps_done(folder) >= steps or not process.is_alive())


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs while the block runs."""
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        raise NotPossibleError(f"mount: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def remount(place: Path, options: str) -> None:
    """Change the options of a mounted tmpfs."""
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)
