"""`radapter serve`: a page for one run that answers, refuses and cannot be used to read the machine."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import torch
from PIL import Image
from serve.page_client import note, serving

from radapter.commands.encoders import weights_of_run
from radapter.evaluation.features import encode_images
from radapter.world import split
from radapter.zeroshot import SHORT_TEMPLATES, class_embeddings

NAMES = "star, moon, boat, fish"


@pytest.fixture(scope="module")
def picture() -> bytes:
    """A PNG of the synthetic benchmark."""
    return png(split("id_test", seed=0, size=1).images[0])


@pytest.fixture(scope="module")
def half(finished, written, small) -> Path:
    """A run at alpha 0.5."""
    return finished(written, *small, "select.alpha=0.5")


@pytest.fixture(scope="module")
def server(half, tmp_path_factory):
    """A server for it, with a folder to search."""
    photos = tmp_path_factory.mktemp("photos")
    world = split("id_test", seed=0, size=20)
    for number, (pixels, label) in enumerate(zip(world.images, world.labels, strict=True)):
        (photos / f"{world.classnames[label]} {number}.png").write_bytes(png(pixels))
    with serving(tmp_path_factory.mktemp("serve"), half, "--data", photos, "--max-mib", "1") as started:
        yield started
        assert started.process.poll() is None
        assert started.asked == ""


def png(pixels: torch.Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "PNG")
    return file.getvalue()


def large_png(side: int) -> bytes:
    """A PNG whose header states side x side pixels, and whose data are a few bytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    chunks = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def shown(label: dict) -> dict[str, float]:
    """The probabilities of a label component, also if its answer changes the heading too."""
    value = label.get("value", label)
    return {each["label"]: each["confidence"] for each in value["confidences"]}


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_probabilities_are_those_of_the_weights_at_alpha(server, half, picture, alpha):
    _, before, after, _ = server.ask("classify", server.uploaded("a.png", picture), NAMES, alpha)
    names = NAMES.split(", ")
    with weights_of_run(half, allow_download=False) as (trained, line), torch.no_grad():
        encoder = trained.classifier.encoder
        pixels = encoder.preprocess(Image.open(io.BytesIO(picture)).convert("RGB"))[None]
        for at, label in ((0.0, before), (alpha, after)):
            with line.at(at):
                head = class_embeddings(encoder, names, SHORT_TEMPLATES)
                expected = (encoder.logit_scale * encode_images(encoder, [pixels]) @ head.T).softmax(-1)[0]
            found = [shown(label)[name] for name in names]
            # float32 in another order of operations
            torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=1e-4)


def test_alpha_changes_the_answer_and_zero_gives_zero_shot(server, picture):
    file = server.uploaded("a.png", picture)
    _, before, after, _ = server.ask("classify", file, NAMES, 0)
    assert shown(before) == shown(after)
    _, again, tuned, _ = server.ask("classify", file, NAMES, 1)
    assert shown(again) == shown(before)
    assert shown(tuned) != shown(before)


def test_a_sentence_finds_the_image_that_it_describes(server):
    says, cards = server.ask("search", "a star")
    assert "The 12 nearest images" in says
    assert cards.index("star ") < cards.index("<span>2</span>")
    assert cards.count("data:image/jpeg") == 12


def test_segmentation_colours_both_models(server, picture):
    says, before, after, legend, _ = server.ask("segment", server.uploaded("a.png", picture), NAMES, 0)
    assert "0.0 % of the pixels have another class" in says
    assert all(
        httpx.get(each["url"]).headers["content-type"] == "image/webp" for each in (before, after["value"])
    )
    assert {name for name in NAMES.split(", ") if f"</i>{name}<" in legend}


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Classnames must hold at least one name."),
        ("star", "There must be at least two class names. Got only 'star'."),
        ("star, Star", "Class names must differ."),
        ("qwerty, asdf", "Class names must differ to the text tower. It reads 'qwerty' and 'asdf' alike."),
        ("star, moon, qwerty", "The text tower does not know a word of 'qwerty'."),
        ("x" * 20_001, "Class names must have at most 20,000 letters in all."),
        (", ".join(map(str, range(3000))), "Class names times templates must be at most 20,000."),
    ],
)
def test_wrong_class_names_give_a_sentence(server, picture, typed, says):
    answer = server.ask("classify", server.uploaded("a.png", picture), typed, 0.5)
    assert says in note(answer)


@pytest.mark.parametrize("alpha", [-1, 2, "a", None])
def test_an_impossible_alpha_gives_a_sentence(server, picture, alpha):
    answer = server.ask("classify", server.uploaded("a.png", picture), NAMES, alpha)
    assert note(answer).startswith("Alpha must be in [0, 1].")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello, this is text\n" * 10, "This file is no image of a known format."),
        (b"", "This file is no image of a known format."),
        (large_png(10_000), "Image must have at most 50000000 pixels."),
        (large_png(100), "Image must be a whole file of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "This file is no image of a known format."),
    ],
)
@pytest.mark.parametrize("function", ["classify", "segment"])
def test_a_file_that_is_no_image_gives_a_sentence(server, function, content, says):
    answer = server.ask(function, server.uploaded("a.png", content), NAMES, 0.5)
    assert note(answer).startswith(says)
    assert "/tmp" not in answer[0]
    assert "Traceback" not in answer[0]
    assert answer[-1] is None  # the place for images is free again
    assert "Traceback" not in server.said


def test_an_oversized_upload_is_refused(server):
    assert server.upload("a.png", bytes(2**20 + 1)).status_code == 413  # by gradio, as it comes
    answer = server.upload("a.png", bytes(2**21))  # by its stated length
    assert answer.status_code == 413
    assert answer.text.startswith("A request must have at most 1,114,112 bytes.")
    chunks = iter([b"-"] * 10)
    assert httpx.post(f"{server.url}/gradio_api/upload", content=chunks).status_code == 411


def folder_of(server, picture: bytes) -> Path:
    """The server's folder of uploads."""
    return Path(server.uploaded("a.png", picture)["path"]).parents[1]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/file={run}/trained.json",
        "/gradio_api/file={folder}/../../etc/passwd",
        "/gradio_api/file={folder}/..%2f..%2fetc%2fpasswd",
        "/gradio_api/file=trained.json",
        "/gradio_api/file=http://127.0.0.1:{port}/",
        "/gradio_api/proxy=https://a.hf.space/",
        "/gradio_api/stream/a/b/c/playlist-file",
        "/gradio_api/openapi.json",
        "/gradio_api/deep_link?session_hash=a",
        "/gradio_api/run-history/buckets",
        "/static/../../../../../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2fetc%2fpasswd",
        "/monitoring",
        "/pwa_icon",
    ],
)
def test_no_file_but_an_upload_can_be_read(server, half, picture, path):
    folder, port = folder_of(server, picture), urlsplit(server.url).port
    with httpx.Client() as client:
        url = httpx.URL(server.url).copy_with(
            raw_path=path.format(run=half, folder=folder, port=port).encode()
        )
        answer = client.get(url)
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text
    assert "fingerprint" not in answer.text


def test_an_upload_can_be_read(server, picture):
    path = server.uploaded("a.png", picture)["path"]
    assert httpx.get(f"{server.url}/gradio_api/file={path}").content == picture


@pytest.mark.parametrize(
    "path", ["component_server", "vibe-edit", "run/classify", "call/classify", "process_recording"]
)
def test_what_the_page_does_not_use_is_not_there(server, path):
    assert httpx.post(f"{server.url}/gradio_api/{path}", json={}).status_code == 404


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": "/etc/passwd"},
        {"path": "http://127.0.0.1:1/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": "https://example.org/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": None, "url": "data:image/png;base64,AAAA", "meta": {"_type": "gradio.FileData"}},
    ],
)
def test_a_request_names_uploads_only(server, file):
    answer = server.join("classify", file, NAMES, 0.5)
    assert (answer.status_code, answer.text) == (400, "A request must name uploaded files only.")


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/evil.png", "..", "a\\..\\b.png", "\u202e.png", "a" * 300]
)
def test_the_name_of_an_upload_does_not_leave_the_folder(server, picture, name):
    folder = folder_of(server, picture)
    answer = server.upload(name, picture)
    if answer.status_code == 200:
        assert all(Path(path).resolve().is_relative_to(folder) for path in answer.json())
    assert not (folder.parent / "evil.png").exists()


def test_a_page_of_another_site_is_refused(server):
    answer = httpx.get(server.url, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil" not in answer.text


def test_answers_tell_the_browser_to_load_nothing_from_elsewhere(server):
    headers = httpx.get(server.url).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "http" not in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("clients", "broken"), [(10, 24), pytest.param(50, 200, marks=pytest.mark.slow, id="50 clients")]
)
def test_many_clients_and_malformed_uploads_leave_the_server_running(server, picture, clients, broken):
    file = server.uploaded("a.png", picture)
    expected = server.ask("classify", file, NAMES, 0.5)
    url = f"{server.url}/gradio_api/upload"

    def ask(number: int) -> list:
        return server.ask("classify", file, NAMES, [0.5, 0.25][number % 2])

    def break_upload(number: int) -> int:
        generator = torch.Generator().manual_seed(number)
        noise = bytes(torch.randint(256, (2000,), generator=generator).tolist())
        kinds = [
            {"content": noise, "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            {"content": b"--x\r\n" + noise, "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            {"content": noise, "headers": {"Content-Type": "multipart/form-data"}},
            {"content": noise, "headers": {"Content-Type": "application/json"}},
            {"files": {"files": ("a.png", picture[: 20 + number])}},
            {"files": {"files": ("a.png", picture[:100] + noise)}},
        ]
        try:
            answer = httpx.post(url, timeout=60, **kinds[number % len(kinds)])
        except httpx.TransportError:  # the server may hang up on nonsense
            return 0
        if answer.status_code == 200 and answer.json():
            broken = {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}
            assert "problem" in server.ask("classify", broken, NAMES, 0.5)[0]
        return answer.status_code

    with ThreadPoolExecutor(clients) as askers, ThreadPoolExecutor(10) as breakers:
        breaking = [breakers.submit(break_upload, number) for number in range(broken)]
        answers = list(askers.map(ask, range(clients)))
        codes = {each.result() for each in breaking}
    assert all(answer == expected for answer in answers[::2])
    assert all(answer != expected for answer in answers[1::2])
    assert codes <= {0, 200, 400, 413}
    assert server.ask("classify", file, NAMES, 0.5) == expected


@pytest.mark.slow
def test_a_full_queue_refuses_with_a_sentence(server, picture):
    """Requests of pages that do not wait for their answers."""
    file = server.uploaded("a.png", picture)
    with ThreadPoolExecutor(20) as clients:
        answers = list(
            clients.map(lambda n: server.join("segment", file, NAMES, n / 400, session=str(n)), range(400))
        )
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert "Queue is full" in refused[0].json()["detail"]


@pytest.mark.slow
def test_ctrl_c_ends_the_server_and_leaves_no_file(half, picture, tmp_path):
    with serving(tmp_path, half, TMPDIR=str(tmp_path)) as started:
        folder = folder_of(started, picture)
        assert folder.parent == tmp_path
        assert "search" not in started.functions
        assert started.stop() == 0
        assert not folder.exists()
        assert "Traceback" not in started.said


def test_wrong_arguments_are_refused(refusal, radapter, run, half, here):
    assert "must be a finished run" in refusal(radapter, "serve", here)
    assert "--index is for --data" in refusal(radapter, "serve", run, "--index", "a.safetensors")
    assert "image folder must exist" in refusal(radapter, "serve", run, "--data", "nowhere")
    assert "max_pixels must be in" in refusal(radapter, "serve", run, "--max-pixels", 10**9)
    assert "--host and --port must be a free address" in refusal(
        radapter, "serve", run, "--host", "192.0.2.1"
    )


def test_a_port_in_use_is_refused(refusal, radapter, run, server):
    port = urlsplit(server.url).port
    assert f"port {port}" in refusal(radapter, "serve", run, "--port", port)


def test_without_gradio_the_extra_is_named(refusal, radapter, run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    said = refusal(radapter, "serve", run, "--port", 0)
    assert "radapter serve needs gradio" in said
    assert "radapter[demo]" in said
