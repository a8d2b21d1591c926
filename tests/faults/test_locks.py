"""Two processes in one folder: the second is refused, and the lock of a dead process blocks nobody."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.locks import LOCK, one_writer
from faults.bench import annotated, Bench
from support.faulty_server import held
from support.fork_server import until


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_dead(bench: Bench) -> None:
    bench.whole("remote")
    bench.server.heal()
    gate = threading.Event()
    bench.server.always = held(gate)
    folder = bench.fresh("hurt")
    running = bench.fork_server.begin("run", *bench.words("remote"), f"hydra.run.dir={folder}", cwd=bench.root)
    until(lambda: bench.server.requests)
    second = bench.run(f"resume={folder}")
    assert (second.code, second.clear) == (2, True), second.err
    assert f"process {running.pid} on " in second.err
    assert f"is writing into {folder}" in " ".join(second.err.split())
    running.send(signal.SIGKILL)
    running.wait()
    assert (folder / LOCK).exists()
    bench.server.always = None
    gate.set()
    again = bench.run(f"resume={folder}")
    assert again.code == 0, again.err
    assert not (folder / LOCK).exists()
    bench.note(
        "run", "two processes in a folder; the first is killed", "the second is refused (2), goes on", bench.lost(folder, "remote")
    )


def test_a_second_annotation_into_a_folder_is_refused(bench: Bench) -> None:
    whole = bench.annotated_whole()
    bench.server.heal()
    gate = threading.Event()
    bench.server.always = held(gate)
    folder = bench.fresh("hurt")
    running = bench.fork_server.begin("annotate", *bench.notes(), f"output={folder}", cwd=bench.root)
    until(lambda: bench.server.requests)
    second = bench.run(*bench.notes(), f"output={folder}", command="annotate")
    assert (second.code, second.clear) == (2, True), second.err
    bench.server.always = None
    gate.set()
    first = running.wait()
    assert first.code == 0, first.err
    ours = annotated(folder)
    bench.note(
        "annotate", "two processes in a folder", "the second is refused (2)", sum(ours.get(n) != b for n, b in whole.items())
    )


def test_a_lock_is_released_and_acquired_again(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            one_writer(tmp_path),
            pytest.raises(RunError, match=f"process {os.getpid()} on .* is writing into"),
            one_writer(tmp_path),
        ):
            pass
        assert list(tmp_path.iterdir()) == []
    (tmp_path / LOCK).write_text("process 1 on a machine that lost its power")
    with one_writer(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK).read_text()
