"""A shell whose commands a warm process serves, and the built site."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT
from support.shell_fork_server import shims


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of command shims that a warm process serves."""
    home = tmp_path_factory.mktemp("shell")
    shims(home / "bin", home / "socket")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "OPENAI_"))}
    words = [sys.executable, str(ROOT / "tests" / "support" / "shell_fork_server.py"), str(home / "socket")]
    running = subprocess.Popen(words, env={**env, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.PIPE, text=True, cwd=home)
    assert running.stdout is not None and running.stdout.readline() == "ready\n"
    yield home / "bin"
    running.kill()
    running.wait()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder
