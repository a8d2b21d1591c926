"""Fixtures of the tests that open pages in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.opened_page import chromium, Opened


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for the tests of a file."""
    with chromium(tmp_path_factory.mktemp("browser")) as context:
        yield context


@pytest.fixture
def opened(browser: Any) -> Iterator[Opened]:
    """An empty page, closed after the test."""
    page = browser.new_page()
    yield Opened(page)
    page.close()
