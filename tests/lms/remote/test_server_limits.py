"""Tests of servers that never finish, send too much or lie: each costs bounded time and memory and gives a named error."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest

from clinspan.lms import lm15, ModelError
from clinspan.lms.remote.transport import HttpTransport, Limits
from support.raw_server import behaving, BEHAVIOURS

TIMEOUT = 1.5
MOST = 4 << 20
MEMORY_MIB = 150


class Asked:
    """Request as DSPy's client passes it."""

    method, headers, body = "POST", [("content-type", "application/json")], b"{}"

    def __init__(self, url: str) -> None:
        self.url = url


def line_to(address: str, pause: float = 60.0) -> HttpTransport:
    return HttpTransport(address, model="m", timeout=TIMEOUT, connections=2, limits=Limits(answer_bytes=MOST, pause=pause))


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_a_server_costs_bounded_time_and_memory(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    outcome: Any
    with behaving(name) as server:
        line = line_to(server.address)
        try:
            outcome = line.stream(Asked(f"{server.address}/chat/completions"))
        except (lm15.TransportError, ModelError) as error:
            outcome = error
        finally:
            line.close()
    assert time.monotonic() - began < TIMEOUT + 1
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MEMORY_MIB
    if name.startswith("good") or name == "says 100 first":
        assert outcome.status == 200 and b"Fever" in outcome.body
    elif not isinstance(outcome, Exception):
        assert len(outcome.body) <= MOST


@pytest.mark.parametrize("name", ["a pause of a year", "a pause until 2999"])
def test_an_excessive_pause_is_shortened_and_reported(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with behaving(name) as server:
        reply = line_to(server.address, pause=7).stream(Asked(f"{server.address}/chat/completions"))
    assert {key.lower(): value for key, value in reply.headers}["retry-after"] == "7"
    assert "asked for a pause of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", [name for name in BEHAVIOURS if name.startswith(("a byte", "endless", "headers", "nothing", "a redir"))]
)
def test_a_health_check_takes_bounded_time(name: str) -> None:
    began = time.monotonic()
    with behaving(name) as server:
        line = HttpTransport(server.address, model="m", timeout=60, connections=2, limits=Limits(check=0.5))
        line.health_error()
    assert time.monotonic() - began < 3


def test_a_slow_server_fails_sentences_and_ends_the_run(command: Any) -> None:
    began = time.monotonic()
    with behaving("a byte now and then") as server:
        words = [
            "model=openai",
            "model.id=m",
            f"model.api_base={server.address}",
            "model.timeout=1",
            "model.retries=0",
            "stop_after=2",
        ]
        done = command("run", *words, "stop_after=2", "limit=4", "strategy=zero_shot")
    assert done.returncode == 2 and "failed, the last with" in done.stderr
    assert time.monotonic() - began < 60
