"""Starts processes as a launcher does, with its environment variables, from a server that has imported torch."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # as the command line does before torch is imported
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["radapter", "radapter.comparison.compare", "radapter.commands.train", "radapter_cli"]
)
TIMEOUT = 900  # seconds for all processes of a start: a busy machine gave a process of 5 seconds 100


def start(work: Callable[..., None], size: int, *arguments: Any) -> list[int]:
    """Runs work(*arguments) in `size` processes of one command. Returns their exit codes, by rank."""
    port = _free_port()
    processes = [
        _SERVER.Process(target=_run, args=(work, rank, size, port, arguments), daemon=True)
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(TIMEOUT)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()
    return [process.exitcode if process.exitcode is not None else -1 for process in processes]


def _run(work: Callable[..., None], rank: int, size: int, port: int, arguments: tuple[Any, ...]) -> None:
    import torch

    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    torch.set_num_threads(1)
    work(*arguments)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
