"""Tests of `engine=ray` on a local cluster: a killed worker, a killed job, changed input and failing input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Command, lines, load, ROOT, tree
from support.scripted_server import Handler, ScriptedServer, slow, status
from support.tiny_models import tiny_encoder

pytest.importorskip("ray.data")
CLUSTER = """
import ray, sys
ray.init(
    address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _temp_dir=sys.argv[1]
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
QUIET = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
TEXT = "the fever and rash\n\nwith no liver of copper is rare fever {}"


@pytest.fixture(scope="module")
def logs() -> Iterator[Path]:
    """Folder of all files of the cluster. Its path must be short, because it holds sockets."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def cluster(logs: Path) -> Iterator[str]:
    """Address of a Ray cluster with two cores in a separate process."""
    env = {**os.environ, **QUIET}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    running = subprocess.Popen([sys.executable, "-c", CLUSTER, str(logs)], env=env, **pipes)  # type: ignore[call-overload]
    address = running.stdout.readline().strip()
    assert address, "Ray did not start"
    yield address
    running.communicate(timeout=60)


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., None]:
    def write(count: int, **changed: str) -> None:
        texts = {f"w{n % 3}/n{n:03}": TEXT.format(n) for n in range(count)} | changed
        whole = "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items())
        (tmp_path / "in.jsonl").write_text(whole, encoding="utf-8")

    return write


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "clinspan.programs.annotate", *words]
    env = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_a_worker(out: Path, running: subprocess.Popen[str]) -> None:
    """Kill a worker that has annotated a part of its shard."""
    while running.poll() is None:
        for state in out.glob("shards/*/.try-*/state.jsonl"):
            worker = int(state.parent.name.rpartition("-")[2])
            os.kill(worker, signal.SIGSTOP)
            if state.is_file() and state.stat().st_size:
                os.kill(worker, signal.SIGKILL)
                return
            os.kill(worker, signal.SIGCONT)
        time.sleep(0.005)
    pytest.fail(f"it ended first: {running.communicate()}")


def tag_fever(messages: list[dict[str, str]]) -> str:
    tokens = messages[-1]["content"].rsplit("\n", 1)[-1].split(" ")
    return "\n".join(f"{token} : {'B-Sign' if token == 'fever' else 'O'}" for token in tokens)


def refuse_some(handler: Handler, body: dict[str, Any]) -> None:
    behave = status(400) if "unanswered" in body["messages"][-1]["content"] else slow(0)
    behave(handler, body)


def same(first: Path, second: Path, *names: str) -> None:
    for name in names:
        a, b = first / name, second / name
        assert (tree(a) == tree(b)) if a.is_dir() else (a.read_bytes() == b.read_bytes()), name


@pytest.mark.long
def test_a_killed_worker_loses_and_repeats_no_document(
    command: Command, tmp_path: Path, cluster: str, rows: Callable[..., None]
) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    tuned = tiny_encoder(tmp_path / "tuned")
    rows(240)
    call = [f"program={tuned}", "input=in.jsonl", "to=[jsonl,conll,csv,parquet]"]
    running = start(tmp_path, *call, "output=ray", "engine=ray", "workers=2", "shard=40", f"ray.address={cluster}")
    kill_a_worker(tmp_path / "ray", running)
    stdout, stderr = running.communicate(timeout=300)
    assert running.returncode == 0, stderr
    assert "240 documents annotated, 0 kept, 0 failed" in stdout
    assert stdout.strip().splitlines()[-1] == "ray"
    assert "was started 2 times because workers were lost" in (tmp_path / "ray" / "run.log").read_text()
    assert command("annotate", *call, "output=local").returncode == 0
    same(tmp_path / "ray", tmp_path / "local", "annotations.jsonl", "annotations.conll", "annotations.csv", "program.json")
    parts = sorted((tmp_path / "ray" / "annotations").iterdir())
    assert [part.name for part in parts] == [f"part-{n:05}.parquet" for n in range(6)]
    written_rows = [row for part in parts for row in pyarrow.read_table(part).to_pylist()]
    assert written_rows == lines(tmp_path / "local" / "annotations.jsonl")
    ray, local = load(tmp_path / "ray" / "run.json"), load(tmp_path / "local" / "run.json")
    assert [ray[key] for key in ("counts", "tokens", "annotator")] == [local[key] for key in ("counts", "tokens", "annotator")]
    assert (ray["engine"], ray["workers"], ray["shards"], ray["input"]["documents"]) == ("ray", 2, 6, 240)


@pytest.mark.long
def test_a_killed_job_resumes_and_ends_with_the_output_of_one_process(
    command: Command, tmp_path: Path, *, cluster: str, logs: Path, server: ScriptedServer, rows: Callable[..., None]
) -> None:
    """After the kill, one text has changed, one cannot be read, and one fails in the model."""
    server.reply, server.always = tag_fever, slow(0.05)
    model = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "strategy=zero_shot", "model.retries=0"]
    call = ["input=in.jsonl", "to=[brat,html,jsonl]", *model]
    ray = ["output=ray", "engine=ray", "workers=2", "shard=8", f"ray.address={cluster}"]
    rows(80)
    running = start(tmp_path, *call, *ray)
    while len(list(tmp_path.glob("ray/shards/*/done.json"))) < 3 and running.poll() is None:
        time.sleep(0.02)
    running.kill()
    running.communicate()
    finished_ids = {row["id"] for path in tmp_path.glob("ray/shards/*/state.jsonl") for row in lines(path)}
    assert 24 <= len(finished_ids) < 80
    server.requests.clear()
    server.always = refuse_some
    rows(80, **{"w0/n000": "no rash fever", "w1/n001": "a \ud800 half", "w2/n002": "fever unanswered"})
    done = command("annotate", *call, *ray, env=QUIET)
    assert done.returncode == 2, done.stderr
    assert "2 of 80 documents failed" in done.stderr
    counts = load(tmp_path / "ray" / "run.json")["counts"]["documents"]
    assert counts["failed"] == 2
    assert counts["kept"] >= len(finished_ids) - 3
    assert counts["kept"] + counts["annotated"] == 78
    assert len(server.requests) < 2 * (80 - len(finished_ids)) + 16
    assert command("annotate", *call, "output=local").returncode == 2
    same(tmp_path / "ray", tmp_path / "local", "brat", "html", "index.html", "annotations.jsonl", "failed.jsonl")
    written = [path.read_text(errors="replace") for path in logs.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any("ShardWorker" in content for content in written)
    assert not any("fever" in content or "w1/n001" in content for content in written)


def test_a_remote_model_is_refused_before_anything_starts(command: Command, tmp_path: Path, rows: Callable[..., None]) -> None:
    rows(3)
    remote = ["model=openai", "model.id=x", "model.api_base=http://gpu.example/v1", "ray.address=nowhere.example:1"]
    done = command("annotate", "input=in.jsonl", "output=out", "engine=ray", *remote)
    assert done.returncode == 2
    assert "nothing was sent" in " ".join(done.stderr.split())
    assert not (tmp_path / "out" / "shards").exists()
