"""Reports of small runs, and a headless Chromium that opens them."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands.conftest import SMALL, Answer
from commands.test_retrieval import SMALL as SMALL_RETRIEVAL
from commands.test_segmentation import SMALL as SMALL_SEGMENTATION

from radapter.report.page import write_page


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A browser, driven by playwright; skips without one."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("chromium absent: make test-browser installs Debian's")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright absent: make test-browser")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses root
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory) -> Callable[[str], Path]:
    """Gives a finished folder of a kind, with its report; each is made once."""
    made: dict[str, Path] = {}

    def run(task: str, settings: tuple[str, ...], *words: str, command: str = "train") -> Path:
        place = tmp_path_factory.mktemp(task)
        assert Answer("init", task, "--out", place / "run.yaml").code == 0
        answer = Answer(command, place / "run.yaml", *settings, *words, "--out", place / "out")
        assert answer.code == 0, answer.result.output
        return place / "out"

    def demo() -> Path:
        place = tmp_path_factory.mktemp("demo") / "out"
        assert Answer("demo", "--out", place).code == 0
        write_page(place, place / "report.html")
        return place

    words = ("compare.points=1", "--methods", "zero-shot,full,wise-ft,lora,r-adapter", "--seeds", "3")
    kinds: dict[str, Callable[[], Path]] = {
        "run": lambda: run("classification", SMALL),
        "comparison": lambda: run("classification", SMALL, *words, command="compare"),
        "retrieval": lambda: run("retrieval", SMALL_RETRIEVAL),
        "segmentation": lambda: run("segmentation", SMALL_SEGMENTATION),
        "demo": demo,
    }

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = kinds[kind]()
        return made[kind]

    return of
