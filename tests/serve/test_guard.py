"""What the guard of the page lets through, without a server."""

import asyncio
import os

import pytest

from radapter.serve.guard import LOOPBACK, Guard, make_space


@pytest.fixture
def status(tmp_path):
    """Gives the status of a request; the application behind the guard answers 200."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def of(path, method="GET", host="localhost:7860", hosts=LOOPBACK, **headers):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"{}"}

        given = {"host": host, **headers}
        pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": pairs}
        guard = Guard(app, folder=tmp_path, max_bytes=1000, hosts=hosts)
        asyncio.run(guard(scope, receive, send))
        return sent[0]["status"]

    return of


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7860", "[::1]:7860"])
def test_the_names_of_this_machine_are_answered(status, host):
    assert status("/", host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "[", "", "localhost@evil.example"]
)
def test_other_names_are_refused_unless_the_page_is_open_to_the_network(status, host):
    assert status("/", host=host) == 400
    assert status("/", host=host, hosts=()) == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(status, method):
    assert status("/", method) == 404


def test_files_of_the_folder_alone_are_sent(status, tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    assert status(f"/gradio_api/file={tmp_path}/a.png") == 200
    for path in ("/etc/passwd", f"{tmp_path}/link.png", f"{tmp_path}/../x", "a.png", f"{tmp_path}/\0"):
        assert status(f"/gradio_api/file={path}") == 404


@pytest.mark.parametrize(("length", "expected"), [("66536", 200), ("66537", 413), ("-1", 411), ("1e3", 411)])
def test_the_stated_length_of_an_upload_is_bounded(status, length, expected):
    assert status("/gradio_api/upload", "POST", content_length=length) == expected


def test_the_oldest_files_make_space(tmp_path):
    for age, name in enumerate(("new", "old", "oldest")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "a.png"
        file.write_bytes(bytes(100))
        os.utime(file, (1000 - age, 1000 - age))
    make_space(tmp_path, 250)
    assert sorted(path.parent.name for path in tmp_path.rglob("*.png")) == ["new", "old"]
    make_space(tmp_path, 0)
    assert list(tmp_path.rglob("*.png")) == []
