"""Test of `model=openai` with a real local server: `transformers serve` with the default model's weights."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinspan.lms import LocalModel
from clinspan.lms.weights.find import find_weights
from conftest import Command, folder_of, load, records


@pytest.fixture(scope="module")
def served(smollm2: LocalModel) -> Iterator[tuple[str, str]]:
    """Address and model name of a running server."""
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("fastapi") is None:
        pytest.skip("the extra 'dev' is not installed: pip install 'clinspan[dev]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = str(find_weights(smollm2).folder)
    program = str(Path(sys.executable).parent / "transformers")
    command = [program, "serve", folder, "--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            for _ in range(300):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                        if answer.status == 200:
                            break
                except OSError:
                    time.sleep(0.4)
            yield f"http://127.0.0.1:{port}/v1", folder
        finally:
            running.terminate()
            running.wait(30)


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize(("form", "servers"), [("bio_lines", "{}"), ("entities", "[http://127.0.0.1:9/v1,{}]")])
def test_a_real_server_tags_real_sentences(command: Command, served: tuple[str, str], form: str, servers: str) -> None:
    """The server is used alone and together with an address at which no server listens."""
    address, name = served
    words = [
        "model=openai",
        f"model.id={name}",
        f"model.api_base={servers.format(address)}",
        f"format={form}",
        "limit=1",
        "model.timeout=400",
    ]
    folder = folder_of(command("run", *words, f"format={form}", "limit=1", "model.timeout=400", "strategy=few_shot"))
    record = load(folder / "run.json")
    assert record["counts"]["failed"] == 0
    assert record["tokens"]["prompt_tokens"] > 200
    assert record["tokens"]["answer_tokens"] > 5
    assert all(row["raw"] for row in records(folder))
