"""The HTML report in headless Chromium: the slider, the keyboard, narrow screens, and no request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from radapter.report.cells import curves
from radapter.runs.results import Results

KINDS = [
    "run",
    *(
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in ("comparison", "retrieval", "segmentation", "demo")
    ),
]


class Opened:
    """A page, what its console printed, and the requests that it made."""

    def __init__(self, browser, file: Path, *, width: int = 1200, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("body[data-ready=yes]", timeout=60_000)

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def rows(self, table: str) -> list[list[str]]:
        script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        return self.page.eval_on_selector_all(f"#{table} tbody tr", script)

    def slide_to(self, place: int) -> None:
        self.page.eval_on_selector(
            "#alpha", "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", str(place)
        )

    def focused(self) -> str:
        return self.page.evaluate("document.activeElement.id || document.activeElement.tagName")


@pytest.fixture(params=KINDS)
def file(request, folder_of) -> Path:
    return folder_of(request.param) / "report.html"


@pytest.fixture
def opened(chromium, file) -> Iterator[Opened]:
    found = Opened(chromium, file)
    yield found
    found.context.close()


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def test_the_slider_shows_results_json_at_five_alphas(opened, file):
    results = Results.read(file.parent)
    method = opened.page.input_value("#method")
    (points,) = (curve.points for curve in curves(results) if method in {row.method for row in curve.rows})
    for place in {round(step * (len(points) - 1) / 4) for step in range(5)}:
        opened.slide_to(place)
        point = points[place]
        assert opened.text("#shown") == f"{point.alpha:.2f}"
        assert opened.text("#sentence").startswith(f"At alpha {point.alpha:.2f}, {method} ")
        gain = abs(point.id_mean - results.row("zero-shot").id_mean)
        assert f" {percent(gain)}" in opened.text("#sentence")
        row = next(row for row in opened.rows("methods") if row[0] == method)
        assert row[1:3] == [f"{point.alpha:.2f}", percent(point.id_mean)]
        scores = {name: results.headline.score(of) for name, of in point.all_sets().items()}
        assert {row[0]: row[2] for row in opened.rows("sets")} == {n: percent(s) for n, s in scores.items()}
        dots = opened.page.locator("[data-chart=frontier_ood] path[aria-roledescription='point']")
        assert dots.count() > 0


def test_nothing_is_printed_and_no_request_leaves_the_page(opened, file):
    assert opened.said == []
    assert [url for url in opened.requests if not url.startswith(("data:", "blob:"))] == [file.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_does_not_scroll_sideways(chromium, file, scheme):
    narrow = Opened(chromium, file, width=360, scheme=scheme)
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert narrow.said == []
    narrow.context.close()


def test_the_keyboard_alone_reaches_and_moves_the_slider(opened):
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    opened.page.keyboard.press("Enter")
    assert opened.focused() == "main"
    for _ in range(4):
        opened.page.keyboard.press("Tab")
        if opened.focused() == "alpha":
            break
    assert opened.focused() == "alpha"
    outline = opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    opened.page.keyboard.press("Home")
    assert opened.text("#shown") == "0.00"
    assert "gains 0.0" in opened.text("#sentence")
    opened.page.keyboard.press("ArrowRight")
    assert opened.text("#shown") != "0.00"
    opened.page.keyboard.press("Tab")
    assert opened.focused() == "reset"
    opened.page.keyboard.press("Enter")
    assert opened.text("#shown") != ""


def test_every_chart_and_image_has_a_text(opened):
    missing = opened.page.evaluate(
        """[...document.querySelectorAll('[data-chart]')].filter(e =>
            !document.getElementById(e.getAttribute('aria-describedby'))?.textContent.trim()).length
        + [...document.querySelectorAll('img')].filter(e => !e.alt).length"""
    )
    assert missing == 0
    assert opened.page.locator("[data-chart] svg").count() == opened.page.locator("[data-chart]").count()
