"""A real browser for the tests of pages: a Chromium on the PATH, or the one that Playwright keeps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium: put one on the PATH, or run `playwright install chromium`"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without windows; the test is skipped where there is none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        own = playwright.chromium.executable_path
        if found is None and not Path(own).exists():
            pytest.skip(MISSING)
        browser = playwright.chromium.launch(executable_path=found or own, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
