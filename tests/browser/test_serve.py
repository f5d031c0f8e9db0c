"""The page of `radapter serve` in a browser: an image, class names, alpha, and files that are refused."""

import io
import re

import pytest
from PIL import Image
from serve.page_client import serving
from typer.testing import CliRunner

from radapter.world import split
from radapter_cli import app

SMALL = (
    "train.epochs=1",
    "select.alpha=0.5",
    "data.train={world: train, size: 80}",
    "data.id_val={world: id_val, size: 40}",
    "data.id_test={world: id_test, size: 40}",
    "data.ood={sketch: {world: sketch, size: 40}}",
)
UPLOAD = "input[type=file]"


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    """PNGs of the synthetic benchmark."""
    files = []
    for pixels in split("id_test", seed=0, size=12).images:
        file = io.BytesIO()
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "PNG")
        files.append(file.getvalue())
    return files


@pytest.fixture(scope="module")
def server(chromium, pictures, tmp_path_factory):
    """A server for a run at alpha 0.5, which asked nothing of the network at the end."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "photos").mkdir()
    for number, content in enumerate(pictures):
        (folder / "photos" / f"{number}.png").write_bytes(content)
    for words in (["init", "classification"], ["train", folder / "run.yaml", *SMALL]):
        to = folder / ("run.yaml" if words[0] == "init" else "run")
        answer = CliRunner().invoke(app, [*map(str, words), "--out", str(to)])
        assert answer.exit_code == 0, answer.output
    with serving(folder, folder / "run", "--data", folder / "photos", "--max-mib", "1") as started:
        yield started
        assert started.asked == ""
        assert "Traceback" not in started.said


@pytest.fixture(params=[1200, 360])
def opened(request, chromium, server):
    """The page at two widths; all its requests went to the server, and its scripts did not fail."""
    page = chromium.new_page(viewport={"width": request.param, "height": 900})
    addresses, failures = [], []
    page.on("request", lambda sent: addresses.append(sent.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector(UPLOAD, state="attached")
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= request.param
    assert "Traceback" not in page.content()
    assert [each for each in addresses if not each.startswith((server.url, "data:", "blob:"))] == []
    assert failures == []
    page.close()


def drop(page, name: str, content: bytes, place: int = 0) -> None:
    page.locator(UPLOAD).nth(place).set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": content}
    )


def percentages(page, heading: str) -> dict[str, str]:
    """The classes that a label shows, and their percentages as written."""
    label = page.locator(".block", has=page.get_by_text(heading, exact=True)).last
    return dict(re.findall(r"(\w+)\s+(\d+)%", label.inner_text()))


def shows(page, heading: str, label: dict) -> bool:
    """Whether a label shows an answer of the server within 30 seconds."""
    expected = {each["label"]: f"{100 * each['confidence']:.0f}" for each in label["confidences"]}
    for _ in range(300):
        if percentages(page, heading) == expected:
            return True
        page.wait_for_timeout(100)
    return False


def test_an_image_is_classified_with_typed_names_at_any_alpha(opened, server, pictures):
    drop(opened, "photo.png", pictures[0])
    opened.get_by_text(re.compile("Both say|They differ")).wait_for()
    names = opened.get_by_label("Class names").first
    names.fill("star, moon, boat")
    names.press("Tab")
    file = server.uploaded("photo.png", pictures[0])
    _, zero_shot, half, _ = server.ask("classify", file, "star, moon, boat", 0.5)
    assert shows(opened, "Zero-shot", zero_shot)
    assert shows(opened, "Tuned, alpha 0.5", half["value"])
    slider = opened.locator("input[type=range]").first
    for _ in range(10):
        slider.press("ArrowRight")
    opened.get_by_text("Tuned, alpha 1", exact=True).wait_for()
    _, _, tuned, _ = server.ask("classify", file, "star, moon, boat", 1)
    assert shows(opened, "Tuned, alpha 1", tuned["value"])
    assert shows(opened, "Zero-shot", zero_shot)


def test_a_text_file_named_png_gives_a_sentence_and_the_place_is_free_again(opened, pictures):
    drop(opened, "notes.png", b"hello, this is text\n" * 10)
    alert = opened.get_by_role("alert").filter(has_text="This file is no image of a known format.")
    alert.wait_for()
    opened.get_by_text("Drop an image here").first.wait_for()
    drop(opened, "photo.png", pictures[0])
    opened.get_by_text(re.compile("Both say|They differ")).wait_for()
    assert alert.count() == 0


def test_an_oversized_file_gives_a_sentence(opened, pictures):
    drop(opened, "large.png", pictures[0] + bytes(2**20))
    opened.get_by_text(re.compile("exceed the maximum allowed size")).wait_for()
    opened.get_by_text("Drop an image to begin.").first.wait_for()


def test_an_image_is_segmented(opened, pictures):
    opened.get_by_role("tab", name="Segment").click()
    drop(opened, "photo.png", pictures[0], place=1)
    opened.get_by_text(re.compile("of the pixels have another class")).wait_for()
    assert opened.locator(".legend tr").count() > 1


def test_a_sentence_finds_images(opened):
    opened.get_by_role("tab", name="Search").click()
    opened.get_by_label("Sentence").fill("a red star")
    opened.get_by_label("Sentence").press("Enter")
    opened.get_by_text("The 12 nearest images, best first.").wait_for()
    assert opened.locator(".hits img").count() == 12
