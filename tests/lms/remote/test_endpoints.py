"""Tests of one model behind several servers: HTTP servers that refuse, drop connections, stall and recover."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import dspy
import pytest

from clinspan import lms
from clinspan.lms import AzureModel, lm15, OpenAIModel, UnavailableError
from clinspan.lms.remote.endpoint_pool import Endpoint, EndpointPool
from clinspan.lms.remote.load_balancer import ServedEngine
from support.scripted_server import Handler, ScriptedServer, serving, slow, status


def running(port: int = 0) -> AbstractContextManager[ScriptedServer]:
    return serving(ScriptedServer(port))


@pytest.fixture
def two() -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with running() as first, running() as second:
        yield first, second


def model(*addresses: str, **options: Any) -> dspy.LM:
    return lms.build(OpenAIModel(name="openai", id="x", api_base=[f"{a}/v1" for a in addresses], **{"retries": 1, **options}))


def ask(lm: dspy.LM) -> str:
    return str(lm(lm15.Request(model=lm.model, messages=(lm15.Message.user("a b"),))).message.text)


def unused() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def drop(handler: Handler, body: dict[str, Any]) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def test_requests_are_spread_and_the_model_name_does_not_depend_on_the_server(two: tuple[ScriptedServer, ScriptedServer]) -> None:
    lm = model(*(s.address for s in two))
    threads = [threading.Thread(target=ask, args=(lm,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = [len(s.requests) for s in two]
    assert sum(counts) == 12 and min(counts) >= 4  # the exact split depends on how fast each server answers
    assert all(s.checks == ["/v1/models"] for s in two)
    assert lm.model == lms.build(OpenAIModel(name="openai", id="x", api_base="http://127.0.0.1:1/v1")).model


@pytest.mark.parametrize(
    "fault", [status(503), status(429), status(500), drop, slow(5)], ids=["503", "429", "500", "dropped", "slow"]
)
def test_a_request_goes_to_another_server_if_one_fails(two: tuple[ScriptedServer, ScriptedServer], fault: Any) -> None:
    two[0].always = two[1].always = None
    lm = model(*(s.address for s in two), timeout=1.0)
    two[0].always = fault
    assert [ask(lm) for _ in range(5)] == ["a : O\nb : O"] * 5
    assert len(two[1].requests) == 5
    assert len(two[0].requests) <= 2


def test_an_unreachable_server_is_skipped_and_used_again_when_it_answers(server: ScriptedServer) -> None:
    away = unused()
    lm = model(server.address, away)
    lm.engine.ring.first = 0.05
    assert [ask(lm) for _ in range(3)] == ["a : O\nb : O"] * 3
    with running(int(away.rpartition(":")[2])) as back:
        deadline = time.monotonic() + 20
        while not back.requests and time.monotonic() < deadline:
            ask(lm)
            time.sleep(0.02)
        assert back.requests
        assert back.checks


def test_unreachable_servers_give_one_error_that_names_them(server: ScriptedServer) -> None:
    first, second = unused(), unused()
    with pytest.raises(UnavailableError) as caught:
        model(first, second)
    assert first in str(caught.value)
    assert second in str(caught.value)
    with running() as other:
        lm = model(server.address, other.address, retries=1)
        lm.engine.ring.first, lm.engine.patience = 0.02, 0.2
        server.always = other.always = drop
        server.ill = other.ill = True
        with pytest.raises(Exception, match="none of the model's servers answers") as failed:
            ask(lm)
        assert other.address in str(failed.value)
        server.always = other.always = status(500)
        server.ill = other.ill = False
        time.sleep(0.3)
        with pytest.raises(dspy.utils.exceptions.LMServerError):  # the servers answer, and the request fails as with one server
            ask(lm)


def test_an_invalid_request_is_not_sent_to_another_server(two: tuple[ScriptedServer, ScriptedServer]) -> None:
    lm = model(*(s.address for s in two))
    two[0].always = two[1].always = status(400)
    with pytest.raises(dspy.utils.exceptions.LMInvalidRequestError):
        ask(lm)
    assert len(two[0].requests) + len(two[1].requests) == 1


def test_pauses_grow_and_only_a_check_ends_them() -> None:
    now, troubles = [0.0], iter(["still ill", "still ill", None])
    endpoint = Endpoint("http://a", None, lambda: next(troubles))
    ring = EndpointPool([endpoint], first=1.0, clock=lambda: now[0])
    ring.failed(endpoint, "TransportError", dead=True)
    pauses = []
    while ring.take([]) is None:
        pauses.append(ring.until_next())
        now[0] += ring.until_next()
    assert pauses == [1.0, 2.0, 4.0]
    ring.release(endpoint)
    ring.failed(endpoint, "LMServerError 429", dead=False, pause=30.0)  # as the server's Retry-After says
    assert ring.until_next() == 30.0
    for pause in (86_400.0, *[None] * 9):  # no pause is longer than a minute
        now[0] += ring.until_next()
        ring.failed(endpoint, "LMServerError 429", dead=False, pause=pause)
    assert ring.until_next() == 60.0


def test_a_server_without_a_models_route_is_checked_by_its_health_route() -> None:
    class Healthy(Handler):
        def do_GET(self) -> None:
            self.server.checks.append(self.path)
            self.send(200 if self.path == "/health" else 404, {})

    with running() as server, running() as other:
        server.RequestHandlerClass = Healthy
        lm = model(server.address, other.address)
        assert server.checks == ["/v1/models", "/health"]
        assert isinstance(lm.engine, ServedEngine)


def test_each_azure_resource_gets_its_own_key(two: tuple[ScriptedServer, ScriptedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", ",".join(s.address for s in two))
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "first,second")
    monkeypatch.delenv("AZURE_OPENAI_API_VERSION", raising=False)
    two[0].key, two[1].key = "first", "second"
    lm = lms.build(AzureModel(name="gpt4", deployment="d"))
    for _ in range(4):
        ask(lm)
    assert [len(s.requests) for s in two] == [2, 2]
    assert lm.model == "azure/d"
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a,b,c")
    with pytest.raises(UnavailableError, match="3 keys for 2 endpoints"):
        lms.build(AzureModel(name="gpt4", deployment="d"))


def test_every_address_is_checked_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = OpenAIModel(name="openai", id="x", api_base=["http://127.0.0.1:1/v1", "http://a.example/v1", "http://b.example/v1"])
    assert spec.remote_host == "a.example, b.example"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1, http://c.example/v1")
    assert OpenAIModel(name="openai", id="x").remote_host == "c.example"
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:1,https://x.openai.azure.com")
    assert AzureModel(name="gpt4").remote_host == "x.openai.azure.com"
