"""The child processes of the soak: the command line, and a loop of saves, in processes that may be killed."""

import errno
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

import radapter_cli
from radapter.training.checkpoints import Checkpoint, Checkpoints

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["radapter.commands.train", "radapter_cli", "children"])


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Starts work(*arguments) in a process of its own, forked from a server that has imported torch."""
    process = _SERVER.Process(target=work, args=arguments)
    process.start()
    return process


def command(log: Path, arguments: tuple[str, ...], imitated: str | None = None) -> None:
    """Run `radapter ARGUMENTS`; its output goes to `log`. The process leads a group, as under a scheduler."""
    os.setsid()
    with log.open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # as in a process that a shell starts
    if imitated:
        IMITATIONS[imitated]()
    sys.argv = ["radapter", *arguments]
    radapter_cli.main()


def save_forever(folder: Path) -> None:
    """Save checkpoints with rising steps; `acknowledged` holds the last step whose save has returned."""
    checkpoints = Checkpoints(folder / "checkpoints")
    first = checkpoints.newest()
    step = first.step if first else 0
    while True:
        step += 1
        tensors = {"weight": torch.full((256, 256), float(step))}
        checkpoints.save(Checkpoint(step, tensors, tensors, {0: tensors}, {}, {}, 0.0))
        draft = folder / "draft"
        draft.write_text(str(step))
        draft.replace(folder / "acknowledged")


def _set_clock_back() -> None:
    """Set the wall clock of this process back by an hour after half a second."""
    now, started = time.time, time.monotonic()
    time.time = lambda: now() - (3600 if time.monotonic() - started > 0.5 else 0)


def _imitate_nfs() -> None:
    """Imitate a network file system: no locks, no fsync of directories."""
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = fcntl.lockf = refuse
    _refuse_fsync_of_directories(errno.EINVAL)


def _imitate_windows() -> None:
    """Imitate what Windows lacks: the signals of POSIX, fcntl, opening a directory."""
    import signal

    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGQUIT"):
        delattr(signal, name)
    sys.modules["fcntl"] = None  # type: ignore[assignment]  # an import raises ImportError
    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # as on Windows, rmtree opens no directory
    opened = os.open

    def open_file(path: str, flags: int, *rest: int, **more: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, flags, *rest, **more)

    os.open = open_file  # type: ignore[assignment]


def _refuse_fsync_of_directories(number: int) -> None:
    synced = os.fsync

    def fsync(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(number, os.strerror(number))
        synced(handle)

    os.fsync = fsync  # type: ignore[assignment]


IMITATIONS: dict[str, Callable[[], None]] = {
    "clock": _set_clock_back,
    "nfs": _imitate_nfs,
    "windows": _imitate_windows,
}
