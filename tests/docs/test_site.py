"""`make docs`: the pages build as a site without a warning, and the site loads nothing from a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.long
def test_the_pages_build_as_a_site_that_loads_nothing(site: Path) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{'index' if page.stem == 'README' else page.stem}.html").is_file()
    for page in site.rglob("*.html"):
        loaded = re.findall(r"""(?:\bsrc=|<link[^>]+href=)["'](https?:)?//""", page.read_text(encoding="utf-8"))
        assert loaded == [], page.name
