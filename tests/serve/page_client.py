"""A started `radapter serve`, and a client that asks it as a browser does."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import httpx

# The server may look up and connect to nothing: both are refused, and written to a file.
_WATCHED = """
import socket, sys

LOG = sys.argv.pop(1)

def refuse(*address, **_):
    with open(LOG, "a") as file:
        print(address, file=file)
    raise OSError("no network here")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse)
from radapter_cli import main
main()
"""


class Server:
    """A running server: `url`, its process, the lines that it wrote and what it asked of the network."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path, errors: Path) -> None:
        self.process, self.url, self._log, self._errors = process, url, log, errors
        config = httpx.get(f"{url}/config", timeout=30).json()
        self.functions = {each["api_name"]: each["id"] for each in config["dependencies"]}
        self.components = {each["id"]: each for each in config["components"]}

    @property
    def asked(self) -> str:
        return self._log.read_text() if self._log.is_file() else ""

    @property
    def said(self) -> str:
        return self._errors.read_text()

    def upload(self, name: str, content: bytes) -> httpx.Response:
        return httpx.post(f"{self.url}/gradio_api/upload", files={"files": (name, content)}, timeout=60)

    def uploaded(self, name: str, content: bytes) -> dict:
        """The description of an uploaded file, as a request holds it."""
        (path,) = self.upload(name, content).json()
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def join(self, function: str, *data: object, session: str = "s") -> httpx.Response:
        body = {"data": data, "fn_index": self.functions[function], "session_hash": session}
        return httpx.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=60)

    def ask(self, function: str, *data: object) -> list:
        """The answer to a request, a value for each output."""
        session = uuid.uuid4().hex
        self.join(function, *data, session=session).raise_for_status()
        address = f"{self.url}/gradio_api/queue/data?session_hash={session}"
        with httpx.stream("GET", address, timeout=120) as answer:
            for line in answer.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") == "process_completed":
                    assert message["success"], message
                    return message["output"]["data"]
        raise AssertionError("no answer came")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


@contextmanager
def serving(folder: Path, *arguments: object, **environment: str) -> Iterator[Server]:
    """Runs `radapter serve` on a free port; `folder` gets its log."""
    log, errors = folder / "lookups.txt", folder / "stderr.txt"
    words = [sys.executable, "-c", _WATCHED, log, "serve", *arguments, "--port", "0", "--quiet"]
    with errors.open("w") as file:
        process = subprocess.Popen(
            list(map(str, words)),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=os.environ | environment,
        )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), errors.read_text()
        for _ in range(100):  # the socket listens already: a request waits for the server
            try:
                httpx.get(url, timeout=60)
                break
            except httpx.TransportError:
                continue
        yield Server(process, url, log, errors)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def note(answer: list) -> str:
    """The sentence of an answer, without its tags."""
    return unescape(re.sub(r"<[^>]+>", "", answer[0]))
