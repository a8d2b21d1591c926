"""One bench for all faults, and the table of their outcomes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import fork_server
from faults.bench import Bench
from support.faulty_server import FaultyServer

ALL = os.environ.get("CLINSPAN_FAULTS") == "all"
_benches: list[Bench] = []


@pytest.fixture(scope="session")
def whole_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The bench of the session, created at the first fault."""
    server = FaultyServer()
    _benches.append(Bench(tmp_path_factory.mktemp("faults"), fork_server(), server))
    yield _benches[-1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def bench(whole_bench: Bench) -> Bench:
    """The bench, with a model server without faults."""
    whole_bench.server.heal()
    return whole_bench


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the outcome of each fault; CLINSPAN_FAULTS_TABLE=FILE also writes a Markdown table to FILE."""
    if not _benches:
        return
    bench, write = _benches[-1], terminalreporter.write_line
    terminalreporter.section("faults")
    for row in bench.told:
        write(f"{row.group:<15} {row.fault:<62} {row.outcome:<42} lost {row.lost}")
    survived, lost = sum(not row.lost for row in bench.told), sum(row.lost for row in bench.told)
    write(f"{len(bench.told)} faults, {survived} survived, {lost} sentences or files lost")
    write(f"{bench.fork_server.calls} commands in {bench.fork_server.seconds:.0f} s of processor time")
    if file := os.environ.get("CLINSPAN_FAULTS_TABLE"):
        lines = ["| what | fault | what happens | lost |", "|---|---|---|---|"]
        lines += [f"| {row.group} | {row.fault} | {row.outcome} | {row.lost} |" for row in bench.told]
        Path(file).write_text("\n".join(lines) + "\n", encoding="utf-8")
