"""`make docs`: the pages build as a site without a warning, and the site loads nothing from a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.long
def test_the_pages_build_as_a_site_that_loads_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        name = "index" if page.stem == "README" else page.stem
        text = (tmp_path / "site" / f"{name}.html").read_text(encoding="utf-8")
        loaded = re.findall(r"""(?:\bsrc=|<link[^>]+href=)["'](https?:)?//""", text)
        assert loaded == [], page.name
