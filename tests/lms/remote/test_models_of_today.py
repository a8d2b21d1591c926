"""Tests of current model servers: parameters that they refuse or require, token counts, changes of models, and messages.

The servers are scripted and answer with one tag per token. The tests check what is sent, read, counted and reported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clinspan.lms import AzureModel, ModelError, OpenAIModel, UnavailableError
from clinspan.lms.remote.refusals import parameter_refused
from clinspan.lms.remote.request_settings import RequestSettings
from conftest import Command, load, records
from support.runs_in_process import run_here
from support.scripted_server import Behaviour, Handler, ScriptedServer, serving, status

SECRET = "Mrs Example"


def tagged(body: dict[str, Any]) -> str:
    """Return one tag per token, the first one B-Sign."""
    turns = body.get("messages") or body["input"]
    content = turns[-1]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    tokens = text.rsplit("\n", 1)[-1].split(" ")
    return "\n".join(f"{token} : {'O' if n else 'B-Sign'}" for n, token in enumerate(tokens))


def reply(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a chat completion; `message`, `usage`, `choice` and `model` change its parts."""
    message = {"role": "assistant", "content": tagged(body), **changes.get("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **changes.get("choice", {})}
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, **changes.get("usage", {})}
    model = changes.get("model", "gpt-x-2026-01-01")
    return {"id": "c", "object": "chat.completion", "created": 0, "model": model, "choices": [choice], "usage": usage}


def refusing(
    parameter: str, code: str = "unsupported_value", message: str = "", *, when: Callable[[Any], bool] | None = None
) -> Behaviour:
    """Return a behaviour that refuses requests with `parameter`, or those for which `when` is true.

    The error has OpenAI's wording and repeats text of the note.
    """

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if when(body) if when else parameter in body:
            words = message or f"Unsupported value: '{parameter}' does not support {body.get(parameter)} with this model."
            error = {"message": f"{words} {SECRET}", "type": "invalid_request_error", "param": parameter, "code": code}
            handler.send(400, {"error": error})
        else:
            handler.send(200, reply(body))

    return behave


def run(server: ScriptedServer, folder: Path, *words: str) -> dict[str, Any]:
    common = ("model=openai", f"model.api_base={server.address}/v1", "model.retries=0", "strategy=zero_shot")
    given = words if any(word.startswith("model.id=") for word in words) else ("model.id=m", *words)
    return run_here(folder, *common, *given, *(() if any(w.startswith("limit=") for w in words) else ("limit=2",)))


def sent(server: ScriptedServer) -> dict[str, Any]:
    return server.requests[-1][2]


def test_a_refused_temperature_is_named_and_null_leaves_it_out(server: ScriptedServer, tmp_path: Path) -> None:
    server.always = refusing("temperature")
    with pytest.raises(RuntimeError, match=r"refuses temperature=0\.0 \(unsupported_value\): model\.temperature=null") as caught:
        run(server, tmp_path / "a")
    assert SECRET not in str(caught.value)
    assert len(server.requests) <= 2, "the first refusal ends the run"
    run(server, tmp_path / "b", "model.temperature=null")
    assert "temperature" not in sent(server)
    assert all(row["error"] is None for row in records(tmp_path / "b"))


def test_a_refused_max_tokens_can_be_sent_as_max_completion_tokens(server: ScriptedServer, tmp_path: Path) -> None:
    server.always = refusing("max_tokens", "unsupported_parameter", "Unsupported parameter: 'max_tokens' is not supported.")
    with pytest.raises(RuntimeError, match=r"model\.token_limit=max_completion_tokens"):
        run(server, tmp_path / "a")
    run(server, tmp_path / "b", "model.token_limit=max_completion_tokens")
    assert sent(server)["max_completion_tokens"] > 0 and "max_tokens" not in sent(server)


def test_a_required_reasoning_effort_is_named_and_can_be_sent(server: ScriptedServer, tmp_path: Path) -> None:
    server.always = refusing("reasoning_effort", "missing_required_parameter", when=lambda body: "reasoning_effort" not in body)
    with pytest.raises(
        RuntimeError, match=r"requires reasoning_effort \(missing_required_parameter\): model\.reasoning_effort=low"
    ):
        run(server, tmp_path / "a")
    run(server, tmp_path / "b", "model.reasoning_effort=low")
    request_body = sent(server)
    assert request_body["reasoning_effort"] == "low"
    assert "temperature" not in request_body, "a model that reasons refuses it"
    assert request_body["max_completion_tokens"] > 16_000 and "max_tokens" not in request_body


def test_reasoning_that_uses_up_the_budget_fails_and_a_larger_budget_helps(server: ScriptedServer, tmp_path: Path) -> None:
    def behave(handler: Handler, body: dict[str, Any]) -> None:
        enough = body.get("max_completion_tokens", body.get("max_tokens", 0)) > 20_000
        details = {"completion_tokens": 900, "completion_tokens_details": {"reasoning_tokens": 850}}
        cut = {"choice": {"finish_reason": "length"}, "message": {"content": ""}}
        handler.send(200, reply(body, usage=details, **({} if enough else cut)))

    server.always = behave
    with pytest.raises(RuntimeError, match="cut_before_answer"):
        run(server, tmp_path / "a", "model.reasoning_effort=high")
    assert {row["error"] for row in records(tmp_path / "a")} == {"cut_before_answer"}
    assert load(tmp_path / "a" / "scores.json")["failed"] == 2, "what failed is in the signature"
    record = run(
        server,
        tmp_path / "b",
        "model.reasoning_effort=high",
        "model.reasoning_tokens=30000",
        "model.price_input=1",
        "model.price_output=2",
    )
    assert record["tokens"] == {"prompt_tokens": 200, "answer_tokens": 1800, "reasoning_tokens": 1700}
    assert record["cost"] == pytest.approx((200 * 1 + 1800 * 2) / 1e6), "reasoning is part of what is answered, and paid"


def test_reasoning_tokens_counted_beside_the_answer_are_paid_too(server: ScriptedServer, tmp_path: Path) -> None:
    server.always = lambda handler, body: handler.send(
        200, reply(body, usage={"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 70}})
    )
    assert run(server, tmp_path / "a", "limit=1")["tokens"]["answer_tokens"] == 70


def test_reasoning_content_is_not_read_as_an_answer(server: ScriptedServer, tmp_path: Path) -> None:
    server.always = lambda handler, body: handler.send(200, reply(body, message={"reasoning_content": "fever : B-Disease"}))
    run(server, tmp_path / "a")
    assert {row["pred"][0] for row in records(tmp_path / "a")} == {"B-Sign"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"message": {"content": None, "refusal": f"I cannot say anything of {SECRET}."}}, "refusal"),
        ({"message": {"content": None}}, "no_answer"),
        ({"choice": {"finish_reason": "content_filter"}, "message": {"content": None}}, "content_filter"),
    ],
)
def test_a_refusal_and_an_empty_content_are_failed_sentences(
    changes: dict[str, Any], reason: str, server: ScriptedServer, tmp_path: Path
) -> None:
    server.always = lambda handler, body: handler.send(200, reply(body, **changes))
    try:
        run(server, tmp_path / "a")
    except RuntimeError as error:
        assert SECRET not in str(error)
    assert {row["error"] for row in records(tmp_path / "a")} == {reason}


@pytest.mark.parametrize("choices", [[], None, [None], 5])
def test_a_reply_without_a_choice_is_a_failed_sentence(choices: Any, server: ScriptedServer, tmp_path: Path) -> None:
    server.always = lambda handler, body: handler.send(200, {**reply(body), "choices": choices})
    with pytest.raises(RuntimeError):
        run(server, tmp_path / "a")
    assert all(row["error"] for row in records(tmp_path / "a"))


def test_a_content_filter_of_the_prompt_fails_one_sentence_and_not_the_run(server: ScriptedServer, tmp_path: Path) -> None:
    words = f"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. {SECRET}"
    error = {"error": {"message": words, "param": "prompt", "code": "content_filter"}}
    server.behaviours[1] = lambda handler, body: handler.send(400, error)
    server.always = lambda handler, body: handler.send(200, reply(body))
    run(server, tmp_path / "a", "model.concurrency=1")
    assert [row["error"] for row in records(tmp_path / "a")].count("content_filter") == 1


def test_refused_logprobs_are_named(server: ScriptedServer, tmp_path: Path) -> None:
    server.always = refusing("logprobs", "unsupported_parameter", "You are not allowed to request logprobs from this model.")
    with pytest.raises(RuntimeError, match=r"refuses logprobs=True \(unsupported_parameter\): model\.wire\.logprobs=false"):
        run(server, tmp_path / "a", "model.wire.logprobs=true")


def test_a_token_rate_limit_is_waited_for_and_retried(server: ScriptedServer, tmp_path: Path) -> None:
    error = {"error": {"message": "Requests have exceeded the token rate limit.", "code": "429"}}
    server.behaviours[1] = lambda handler, body: handler.send(429, error, {"Retry-After": "1", "x-ratelimit-reset-tokens": "1"})
    server.always = lambda handler, body: handler.send(200, reply(body))
    began = time.monotonic()
    run(server, tmp_path / "a", "model.retries=2", "limit=1")
    assert time.monotonic() - began > 1
    assert [row["error"] for row in records(tmp_path / "a")] == [None]


@pytest.mark.parametrize("code", ["DeploymentNotFound", "model_not_found"])
def test_a_retired_model_ends_the_run_with_a_message(code: str, server: ScriptedServer, tmp_path: Path) -> None:
    server.always = lambda handler, body: handler.send(404, {"error": {"message": SECRET, "code": code}})
    with pytest.raises(RuntimeError, match=r"does not exist on the server or was retired") as caught:
        run(server, tmp_path / "a")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": "12"}, {"completion_tokens": 7.5}, {"prompt_tokens": -1}, {"prompt_tokens": int("9" * 400)}, [1]],
)
def test_an_invalid_usage_loses_no_answer(usage: Any, server: ScriptedServer, tmp_path: Path) -> None:
    server.always = lambda handler, body: handler.send(200, {**reply(body), "usage": usage})
    run(server, tmp_path / "a", "limit=1")
    assert [row["error"] for row in records(tmp_path / "a")] == [None]


def test_a_deployment_that_changes_its_model_is_noticed_and_recorded(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = iter(["gpt-x-2026-01-01", "gpt-x-2026-01-01", "gpt-x-2026-07-01"])
    server.always = lambda handler, body: handler.send(200, reply(body, model=next(names)))
    record = run(server, tmp_path / "a", "limit=3", "model.concurrency=1")
    assert record["served"] == {"gpt-x-2026-01-01": 2, "gpt-x-2026-07-01": 1}
    assert load(tmp_path / "a" / "run.json")["served"] == record["served"]
    assert "answered as several models: gpt-x-2026-01-01 (2 sentences), gpt-x-2026-07-01 (1 sentence)" in capsys.readouterr().err


def test_seed_and_further_parameters_are_sent_and_a_wrong_one_is_named(server: ScriptedServer, tmp_path: Path) -> None:
    server.always = refusing("top_k", "unknown_parameter", "Unrecognized request argument supplied: top_k")
    run(server, tmp_path / "a", "model.seed=7", "+model.parameters.verbosity=low", "+model.parameters.top_p=0.5")
    assert {key: sent(server)[key] for key in ("seed", "verbosity", "top_p")} == {"seed": 7, "verbosity": "low", "top_p": 0.5}
    with pytest.raises(RuntimeError, match=r"refuses top_k=5 \(unknown_parameter\): leave model\.parameters\.top_k out"):
        run(server, tmp_path / "b", "+model.parameters.top_k=5")


def test_the_responses_api_is_used_without_storage(server: ScriptedServer, tmp_path: Path) -> None:
    def behave(handler: Handler, body: dict[str, Any]) -> None:
        content = [{"type": "output_text", "text": tagged(body), "annotations": []}]
        output = [
            {"type": "reasoning", "id": "r", "summary": []},
            {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content},
        ]
        usage = {"input_tokens": 100, "output_tokens": 60, "total_tokens": 160, "output_tokens_details": {"reasoning_tokens": 40}}
        response = {"id": "r", "object": "response", "created_at": 0, "model": "gpt-x", "status": "completed", "error": None}
        handler.send(200, {**response, "output": output, "usage": usage})

    server.always = behave
    record = run(server, tmp_path / "a", "model.id=gpt-5-mini", "model.route=responses", "model.reasoning_effort=minimal")
    path, _, body = server.requests[-1]
    assert path == "/v1/responses"
    assert body["store"] is False and body["reasoning"] == {"effort": "minimal"} and body["max_output_tokens"] > 16_000
    assert "temperature" not in body
    assert {row["pred"][0] for row in records(tmp_path / "a")} == {"B-Sign"}
    assert record["tokens"]["reasoning_tokens"] == 80


@pytest.mark.parametrize("preset", ["gpt5", "gpt5_mini", "o4_mini", "gpt41", "gpt41_mini", "gpt4o"])
def test_presets_send_the_parameters_that_their_models_accept(
    preset: str, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.address)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k\n")
    server.always = lambda handler, body: handler.send(200, reply(body))
    record = run_here(tmp_path / "a", f"model={preset}", "model.retries=0", "strategy=zero_shot", "limit=1")
    path, headers, body = server.requests[-1]
    reasons = preset in ("gpt5", "gpt5_mini", "o4_mini")
    assert path == "/openai/v1/chat/completions" and headers["api-key"] == "k"
    assert ("temperature" in body, "reasoning_effort" in body) == (not reasons, reasons)
    assert (body["max_completion_tokens"] > 16_000) == reasons and "max_tokens" not in body
    assert record["cost"] > 0


def test_one_setting_selects_any_deployment(server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.address)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    monkeypatch.delenv("AZURE_OPENAI_DEPLOYMENT", raising=False)
    server.always = lambda handler, body: handler.send(200, reply(body))
    words = ("model=azure", "model.retries=0", "strategy=zero_shot", "limit=1")
    record = run_here(tmp_path / "a", *words, "model.deployment=ward-7")
    assert server.requests[-1][2]["model"] == "ward-7" and record["model"]["name"] == "ward-7"
    with pytest.raises(UnavailableError, match=r"needs model\.deployment=NAME"):
        run_here(tmp_path / "b", *words)


class Identity(BaseHTTPRequestHandler):
    """Identity endpoint as in Azure App Service: each request gets a new token with the server's lifetime `lasts`."""

    def do_GET(self) -> None:
        server: Any = self.server
        assert self.headers["X-IDENTITY-HEADER"] == "secret"
        server.given += 1
        expires_on = str(int(time.time() + server.lasts))
        token = {"access_token": f"token-{server.given}", "expires_on": expires_on, "token_type": "Bearer", "resource": "r"}
        data = json.dumps(token if server.lasts else {"error": "invalid_request"}).encode()
        self.send_response(200 if server.lasts else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Log nothing."""


@contextmanager
def identity(monkeypatch: pytest.MonkeyPatch, *, lasts: int) -> Iterator[Any]:
    """Give this process a managed identity whose tokens last `lasts` seconds. With 0, the endpoint refuses."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Identity)
    server.given, server.lasts = 0, lasts
    with serving(server):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        yield server


ENTRA = ("model=azure", "model.deployment=d", "model.auth=entra", "model.retries=0", "strategy=zero_shot")


def test_entra_id_replaces_a_key_and_an_expired_token_is_renewed_during_a_run(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("azure.identity")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.address)
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    seen: list[str] = []

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        seen.append(handler.headers["Authorization"])
        assert "api-key" not in handler.headers
        expired = len(seen) > 2 and seen[-1] == seen[0]
        handler.send(401, {"error": {"code": "401", "message": "expired"}}) if expired else handler.send(200, reply(body))

    server.always = behave
    with identity(monkeypatch, lasts=3600) as tokens:
        run_here(tmp_path / "a", *ENTRA, "limit=4", "model.concurrency=1")
    assert all(row["error"] is None for row in records(tmp_path / "a"))
    assert seen[0] == "Bearer token-1" and seen[-1] == "Bearer token-2" and tokens.given == 2


def test_tokens_are_renewed_before_they_expire(server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.identity")
    from clinspan.lms.remote.entra import EntraTokens

    now = [time.time()]
    with identity(monkeypatch, lasts=3600) as tokens:
        entra = EntraTokens(clock=lambda: now[0])
        assert entra.header() == entra.header()
        now[0] += 3400
        entra.header()
        assert tokens.given >= 1
        assert entra.header(refused=entra.header()["Authorization"])["Authorization"] == f"Bearer token-{tokens.given}"


def test_a_missing_identity_is_reported(server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.identity")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.address)
    with identity(monkeypatch, lasts=0), pytest.raises(RuntimeError, match="Entra ID gave no token"):
        run_here(tmp_path / "a", *ENTRA, "limit=1")


def test_an_impossible_key_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("sk a", "sk-\u00e4", "sk\nb"):
        monkeypatch.setenv("OPENAI_API_KEY", value)
        with pytest.raises(ModelError, match="OPENAI_API_KEY holds a blank, a line end or a non-ASCII character"):
            _ = OpenAIModel(name="m", id="m", api_base="http://127.0.0.1:1/v1").key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": "hot"}, "model.temperature=hot is not a number"),
        ({"temperature": 3.0}, "not between 0 and 2"),
        ({"reasoning_effort": "Very High!"}, "is not a word such as"),
        ({"reasoning_tokens": -1}, "must not be negative"),
        ({"route": "soap"}, "model.route=soap"),
        ({"token_limit": "tokens"}, "model.token_limit=tokens"),
        ({"parameters": {"messages": []}}, "model.parameters.messages is not allowed"),
        ({"parameters": {"temperature": 1}}, "use model.temperature"),
        ({"batch": True, "route": "responses"}, "model.batch=true takes model.route=chat"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        OpenAIModel(name="m", id="m", **settings)
    with pytest.raises(ModelError, match=r"model\.auth=password"):
        AzureModel(name="m", deployment="m", auth="password")  # type: ignore[arg-type]


def test_a_reported_refusal_repeats_no_text_of_the_server() -> None:
    body = json.dumps({"error": {"message": f"{SECRET} temperature", "param": f"temperature {SECRET}", "code": SECRET}}).encode()
    assert parameter_refused(400, body, b'{"temperature": 0.0}') is None
    body = json.dumps({"detail": [{"loc": ["body", "top_k"], "msg": SECRET}]}).encode()
    assert parameter_refused(422, body, b'{"top_k": 5}') == "the server refuses top_k=5: leave model.parameters.top_k out"
    for other in (b"", b"[]", b"[" * 100_000, b'{"error": "busy"}', b'{"error": {"param": {"a": 1}}}'):
        assert parameter_refused(400, other, b'{"temperature": 0.0}') is None
    whole = {"temperature": 0.0, "max_tokens": 5, "seed": 1}
    repeated = json.dumps({"error": {"message": json.dumps(whole)}}).encode()
    assert parameter_refused(400, repeated, json.dumps(whole).encode()) is None, "a server that repeats the request refuses nothing"
    too_much = json.dumps({"error": {"param": "max_tokens", "message": "max_tokens is too large: 17000."}}).encode()
    assert "smaller model.reasoning_tokens" in str(parameter_refused(400, too_much, b'{"max_tokens": 17000}'))


def test_values_in_the_request_take_precedence() -> None:
    from clinspan.lms import lm15

    request = lm15.Request(
        model="m", messages=(lm15.Message.user("a"),), config=lm15.Config(temperature=0.7, max_tokens=10, seed=1)
    )
    applied = RequestSettings(temperature=0.0, seed=2, reasoning_tokens=5).applied(request).config
    assert (applied.temperature, applied.max_tokens, applied.seed) == (0.7, 15, 1)
    assert RequestSettings(temperature=None).applied(request).config.temperature is None
    assert RequestSettings(route="responses").applied(request).config.store is False


def test_a_command_reports_a_refusal_on_one_line(command: Command, server: ScriptedServer, tmp_path: Path) -> None:
    server.always = refusing("temperature")
    done = command("run", "model=openai", "model.id=m", f"model.api_base={server.address}/v1", "model.retries=0", "limit=1")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "clinspan: the server refuses temperature=0.0 (unsupported_value): model.temperature=null leaves it out"
    )
    server.always = status(500)
