"""A page in a browser: headless Chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Opened:
    """A page, its messages (`said`) and the URLs that it requested (`asked`)."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: Path, address: str = "") -> Any:
        """Open a file; `address` is what stands behind its `#`."""
        self.page.goto(path.as_uri() + (f"#{address}" if address else ""))
        return self.page

    @property
    def ids(self) -> list[str]:
        """The ids of the sentences in the grid or in the list of texts, once the page has settled."""
        self.page.wait_for_timeout(200)
        return list(self.page.locator("#list > .sentence .id, .row .id").all_inner_texts())


@contextmanager
def chromium(data: Path) -> Iterator[Any]:
    """A browser context; skips the test if there is no Chromium."""
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is missing: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            data, executable_path=CHROMIUM, args=ARGUMENTS, viewport={"width": 1280, "height": 900}
        )
        yield context
        context.close()
    shutil.rmtree(data, ignore_errors=True)
