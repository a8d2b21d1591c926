"""A model server on a real socket that refuses, resets, is slow, sends half answers, is overloaded, or changes its key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faults.bench import Bench, rows
from support.faulty_server import cut_off, ended_by_length, key_changes, reset
from support.fork_server import until
from support.scripted_server import Behaviour, half_json, slow, status

MENDED: dict[str, Callable[[], dict[int, Behaviour]]] = {
    "connections reset in the middle of answers": lambda: {1: reset, 5: reset, 9: reset},
    "bodies that end early": lambda: {2: cut_off, 7: cut_off},
    "answers slower than the time-out": lambda: {3: slow(3), 8: slow(3)},
    "429 with Retry-After, in a row": lambda: {n: status(429, {"Retry-After": "1"}) for n in (1, 2, 5, 6)},
    "500, 502, 503": lambda: {2: status(500), 5: status(502), 9: status(503)},
}


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=[pytest.mark.long] * (n % 2)) for n, fault in enumerate(MENDED)])
def test_temporary_faults_of_a_server_are_retried(bench: Bench, fault: str) -> None:
    whole = bench.whole("remote")
    bench.server.heal()
    bench.server.behaviours = MENDED[fault]()
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words("remote"), "model.timeout=1.5", "model.retries=3", f"hydra.run.dir={folder}")
    assert ended.code == 0, ended.err
    assert len(bench.server.requests) > len(rows(whole))
    bench.note("server", fault, "goes on by itself", bench.lost(folder, "remote"))


def test_half_a_json_document_fails_a_sentence_which_resume_retries(bench: Bench) -> None:
    bench.whole("remote")
    bench.server.heal()
    bench.server.behaviours = {4: half_json, 6: half_json}
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}")
    assert ended.code == 0, ended.err
    assert sum(row["error"] is not None for row in rows(folder)) == 2
    assert f"resume={folder.name}" in ended.out
    assert bench.run(f"resume={folder}").code == 0
    bench.note(
        "server", "half a JSON document as a whole answer", "2 sentences fail, resume= gets them", bench.lost(folder, "remote")
    )


def test_an_answer_that_the_server_cut_short_is_counted(bench: Bench) -> None:
    bench.whole("remote")
    bench.server.heal()
    bench.server.behaviours = {4: ended_by_length}
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}")
    assert ended.code == 0, ended.err
    assert sum(row["repairs"].get("cut_by_budget", 0) for row in rows(folder)) == 1
    assert "1 answer cut at the limit of answer tokens" in ended.out
    bench.note("server", "finish_reason length", "goes on; said as a repair, cut_by_budget", len(rows(folder)) - 12)


def test_an_expired_key_ends_the_run_and_a_new_key_resumes_it(bench: Bench) -> None:
    bench.whole("remote")
    bench.server.heal()
    bench.server.key, bench.server.behaviours = "old", {5: key_changes("new")}
    folder = bench.fresh("hurt")
    ended = bench.run(*bench.words("remote"), f"hydra.run.dir={folder}", env={"OPENAI_API_KEY": "old"})
    assert (ended.code, ended.clear) == (2, True), ended.err
    assert "the server refused the key" in ended.err
    assert len(rows(folder)) >= 4
    again = bench.run(f"resume={folder}", env={"OPENAI_API_KEY": "new"})
    assert again.code == 0, again.err
    bench.note(
        "server", "the key expires (401) after 5 sentences", "stops with 2, goes on with a new key", bench.lost(folder, "remote")
    )


@pytest.mark.long
def test_a_server_that_goes_down_and_comes_back(bench: Bench) -> None:
    bench.whole("remote")
    bench.server.heal()
    bench.server.always = slow(0.1)
    folder = bench.fresh("hurt")
    words = [*bench.words("remote"), "model.timeout=2", "stop_after=3", f"hydra.run.dir={folder}"]
    running = bench.fork_server.begin("run", *words, cwd=bench.root)
    until(lambda: len(bench.server.requests) >= 5)
    bench.server.go_down()
    ended = running.wait()
    assert (ended.code, ended.clear) == (2, True), ended.err
    assert "3 sentences in a row failed" in ended.err
    away = bench.run(f"resume={folder}")
    assert (away.code, away.clear) == (2, True), away.err
    bench.server.come_back()
    bench.server.always = None
    again = bench.run(f"resume={folder}")
    assert again.code == 0, again.err
    bench.note(
        "server", "goes down in the middle; still away; comes back", "stops with 2 twice, goes on", bench.lost(folder, "remote")
    )
