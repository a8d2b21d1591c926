"""Tests of `audit.jsonl`, which lists requests to other machines.

`0.0.0.0` is no loopback address, but reaches the test's own server.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import dspy
import pytest

from clinspan import lms
from clinspan.lms import lm15, OpenAIModel
from clinspan.lms.remote.audit import asking, audit_to, audited, AuditLog
from support.scripted_server import ScriptedServer, status

TEXT = "He has Fever"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Any:
    audit_to(tmp_path)
    yield tmp_path
    audit_to(None)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


def ask(address: str, **options: Any) -> None:
    lm = lms.build(OpenAIModel(name="openai", id="gpt", api_base=f"{address}/v1", retries=0, **options))
    lm(lm15.Request(model=lm.model, messages=(lm15.Message.user(TEXT),)))


def test_a_line_has_host_documents_and_outcome_and_no_word_of_the_text(server: ScriptedServer, folder: Path) -> None:
    away = f"http://0.0.0.0:{server.server_address[1]}"
    with asking("note7"):
        ask(away)
    ask(away)
    server.always = status(429)
    with pytest.raises(Exception, match="scripted"):
        ask(away)
    server.shutdown()
    server.server_close()
    with pytest.raises(dspy.utils.exceptions.LMTransportError):
        ask(away)
    rows = lines(folder)
    assert [row["outcome"] for row in rows] == ["answered", "answered", "failed 429", "failed TransportError"]
    assert [(row["documents"], row["sentences"]) for row in rows] == [(["note7"], 1), ([], 0), ([], 0), ([], 0)]
    assert {row["host"] for row in rows} == {f"0.0.0.0:{server.server_address[1]}"}
    assert all(row["model"] == "gpt" and row["bytes"] > len(TEXT) for row in rows)
    assert "Fever" not in (folder / "audit.jsonl").read_text()
    assert stat.S_IMODE((folder / "audit.jsonl").stat().st_mode) == 0o600


def test_requests_to_this_machine_are_not_listed(server: ScriptedServer, folder: Path) -> None:
    ask(server.address)
    assert not (folder / "audit.jsonl").exists()


def test_the_line_is_there_before_the_request_and_says_so_if_the_process_dies(folder: Path) -> None:
    def killed() -> None:
        with audited("http://gpu.example/v1", model="m", size=1, documents=("a",)):
            os._exit(9)

    child = os.fork()
    if child == 0:
        killed()
    os.waitpid(child, 0)
    (row,) = lines(folder)
    assert (row["outcome"], row["documents"]) == ("sent", ["a"])


def test_threads_and_several_logs_of_one_file_do_not_mix_lines(folder: Path) -> None:
    logs = [AuditLog(folder), AuditLog(folder)]

    def work(n: int) -> None:
        for i in range(40):
            log = logs[n % 2]
            log.end(log.begin({"n": n, "i": i, "name": "é" * (i % 7)}), f"answered {n} {i}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = lines(folder)
    assert len(rows) == 240
    assert all(row["outcome"] == f"answered {row['n']} {row['i']}" for row in rows)
