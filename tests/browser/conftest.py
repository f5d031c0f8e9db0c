"""Headless Chromium, Debian's own, driven by playwright; without either, the tests are skipped."""

import shutil

import pytest


@pytest.fixture(scope="session")
def browser():
    """A started browser."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make test-browser"
    )
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: make test-browser")
    with sync_api.sync_playwright() as playwright:
        # Chromium's sandbox does not start as root, which is the user of a container
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """An empty tab; `page.set_viewport_size` gives it another width."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    yield tab
    tab.close()
