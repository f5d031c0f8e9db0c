"""The server around the page: its socket, its folder and its limits."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from radapter.errors import ConfigError
from radapter.serve.guard import LOOPBACK, Guard

CONNECTIONS = 512
"""At once; a browser has about six."""
_STOP_SECONDS = 2  # open connections wait for answers that may never come


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for uploads and answers, removed at the end; gradio puts its files there while the block runs.

    gradio reads the environment when it is imported and when a page is built. Its default is one folder for all
    pages of the machine, and it would send any file of it. It also reports usage to its makers by default.
    """
    with TemporaryDirectory(prefix="radapter-serve-") as folder:
        settings = {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ConfigError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--host and --port must be a free address of this machine. '{host}' port {port}: {error}. Give another "
            "--port, or --port 0 for any free one."
        ) from error


def address(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(page: Any, listening: socket.socket, *, folder: Path, max_bytes: int) -> None:
    """Serves a page of `page.build` until Ctrl-C or SIGTERM, which raise KeyboardInterrupt."""
    import uvicorn

    host = listening.getsockname()[0]
    guard = Guard(page, folder=folder, max_bytes=max_bytes, hosts=LOOPBACK if host in LOOPBACK else ())
    config = uvicorn.Config(
        guard,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listening])
