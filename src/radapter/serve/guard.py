"""Answers only the requests that the page needs, and bounds what they send and what they store.

gradio's own application answers many more: it fetches URLs, proxies other servers and edits its own source. Here an
allow-list names what is needed; everything else is 404. The headers of every answer tell the browser to load nothing
from elsewhere.
"""

import os
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from radapter.given_files import parse_json

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
_JOIN = f"{API}/queue/join"
_GET = {
    "/",
    "/config",
    "/theme.css",
    "/favicon.ico",
    "/manifest.json",
    f"{API}/info",
    f"{API}/queue/data",
} | {f"{API}/upload_progress"}
_GET_BELOW = ("/assets/", "/static/", "/svelte/", f"{API}/heartbeat/")
_POST = {UPLOAD, _JOIN, f"{API}/cancel", f"{API}/reset"}
_FORM = 2**16  # bytes of an upload beside its file
_REQUEST = 2**20  # bytes of any other request
STORED = 2**30
"""Bytes of uploads and answers on disk; the oldest files are removed above it."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}


@final
class Guard:
    """An ASGI application before another one.

    Args:
        app: The application.
        folder: The only folder of which files are sent; uploads go there.
        max_bytes: Largest uploaded file.
        hosts: Names by which the server is called; empty for any. A page of another site, whose name was pointed at
            this machine, is refused by its name.
    """

    def __init__(self, app: App, *, folder: Path, max_bytes: int, hosts: tuple[str, ...]) -> None:
        self._app, self._folder, self._max_bytes = app, folder.resolve(), max_bytes
        self._hosts = hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS.items()]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and scope["path"] == _JOIN:
            body = await _whole(receive)
            refusal = self._refused_body(body)
            receive = _again(body, receive)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
            return
        status, reason = refusal
        kind = [(b"content-type", b"text/plain; charset=utf-8")]
        await send_with_headers({"type": "http.response.start", "status": status, "headers": kind})
        await send({"type": "http.response.body", "body": reason.encode()})

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        """The status and the sentence of a refused request; None if it is answered."""
        headers = dict(scope["headers"])
        path: str = scope["path"]
        if self._hosts and _host(headers.get(b"host", b"")) not in self._hosts:
            return 400, f"The server must be called by one of these names: {', '.join(self._hosts)}."
        if scope["method"] in ("GET", "HEAD"):
            known = path in _GET or path.startswith(_GET_BELOW) or self._is_own_file(path)
            return None if known else (404, "There is no such page.")
        if scope["method"] != "POST" or path not in _POST:
            return 404, "There is no such page."
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return 411, "A request must state its length."
        limit = self._max_bytes + _FORM if path == UPLOAD else _REQUEST
        if int(length) > limit:
            return 413, f"A request must have at most {limit:,} bytes. This one has {int(length):,}."
        if path == UPLOAD:
            make_space(self._folder, STORED - limit)
        return None

    def _refused_body(self, body: bytes) -> tuple[int, str] | None:
        """A request for an answer names uploaded files only: gradio would fetch a URL."""
        try:
            content = parse_json(body)
        except ValueError:
            return 400, "A request must be JSON."
        if all(self._holds(path) for path in _paths(content)):
            return None
        return 400, "A request must name uploaded files only."

    def _is_own_file(self, path: str) -> bool:
        """Whether a path asks for a file of the folder; URLs and paths that lead out of it do not."""
        return path.startswith(FILE) and self._holds(path.removeprefix(FILE))

    def _holds(self, path: object) -> bool:
        if not isinstance(path, str) or "\0" in path:
            return False
        return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self._folder)


def make_space(folder: Path, limit: int) -> None:
    """Removes the oldest files below a folder until at most `limit` bytes are left."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                status = path.lstat()
            except OSError:  # removed meanwhile
                continue
            found.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= size


async def _whole(receive: Receive) -> bytes:
    """The body of a request, as far as it came."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read, then what follows it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def given() -> Message:
        return next(messages, None) or await receive()

    return given


def _paths(content: object) -> Iterator[object]:
    """The value of each key "path" in parsed JSON."""
    waiting = [content]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "path" in each:
                yield each["path"]
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _host(header: bytes) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit("//" + header.decode("latin-1")).hostname or ""
    except ValueError:
        return ""
