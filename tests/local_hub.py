"""A local server that speaks the Hub's protocol for uploads: create, preupload, LFS batch, LFS upload, commit."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class LocalHub:
    """The repositories of the server: whether each is private, and its files; `refuses` is a status for creation."""

    def __init__(self) -> None:
        self.private: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.large: set[str] = set()
        self.blobs: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.commits = 0
        self.refuses: int | None = None
        self.endpoint = ""


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    hub = LocalHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, value: object, status: int = 200) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                content = b""
                while size := int(self.rfile.readline(), 16):
                    content += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return content
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_GET(self) -> None:
            name = self.path.removeprefix("/api/models/").partition("?")[0].removesuffix("/revision/main")
            if name not in hub.files:
                self.answer({"error": "no such repository"}, 404)
                return
            about = {"id": name, "modelId": name, "private": hub.private[name], "sha": "0" * 40}
            self.answer(about | {"siblings": [{"rfilename": file} for file in hub.files[name]]})

        def do_PUT(self) -> None:
            content, name = self.body(), self.path.removeprefix("/lfs/")
            assert hashlib.sha256(content).hexdigest() == name
            hub.blobs[name] = content
            self.answer({})

        def do_POST(self) -> None:
            content = self.body()
            hub.tokens.add(self.headers.get("Authorization"))
            if self.path == "/api/repos/create":
                asked = json.loads(content)
                name = f"{asked['organization']}/{asked['name']}"
                if hub.refuses is not None:
                    self.answer({"error": "you may not"}, hub.refuses)
                elif name in hub.files:
                    self.answer({"error": "exists", "url": f"{hub.endpoint}/{name}"}, 409)
                else:
                    hub.files[name] = {}
                    hub.private[name] = bool(asked.get("private") or asked.get("visibility") == "private")
                    self.answer({"url": f"{hub.endpoint}/{name}"})
            elif self.path == "/api/validate-yaml":
                self.answer({"errors": [], "warnings": []})
            elif self.path.endswith("/preupload/main"):
                self.answer({"files": [self.mode(file) for file in json.loads(content)["files"]]})
            elif self.path.endswith("/info/lfs/objects/batch"):
                found = [self.place(asked) for asked in json.loads(content)["objects"]]
                self.answer({"transfer": "basic", "objects": found})
            else:
                self.commit(self.path.removeprefix("/api/models/").removesuffix("/commit/main"), content)

        def mode(self, file: dict[str, object]) -> dict[str, object]:
            large = str(file["path"]).endswith((".safetensors", ".data"))
            return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

        def place(self, asked: dict[str, object]) -> dict[str, object]:
            return asked | {"actions": {"upload": {"href": f"{hub.endpoint}/lfs/{asked['oid']}"}}}

        def commit(self, name: str, content: bytes) -> None:
            for line in content.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    hub.files[name][value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "lfsFile":
                    hub.files[name][value["path"]] = hub.blobs[value["oid"]]
                    hub.large.add(value["path"])
            hub.commits += 1
            self.answer(
                {"commitUrl": f"{hub.endpoint}/{name}/commit/1", "commitOid": "1" * 40, "success": True}
            )

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
