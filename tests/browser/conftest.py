"""Headless Chromium for the tests of pages."""

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def chromium():
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
