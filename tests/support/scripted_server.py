"""A small HTTP server that speaks Azure OpenAI's and OpenAI's chat routes, with scripted answers: for tests of plumbing.

It answers the last user turn with one line `token : O` for each token, unless a behaviour is queued for the request: a status,
a pause, half a JSON document, a refusal.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

Behaviour = Callable[["Handler", dict[str, Any]], None]
Server = TypeVar("Server", bound=ThreadingHTTPServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Run a server in a thread until the context ends."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.checks.append(self.path)
        if self.path.endswith("/models"):
            self.send(503 if self.server.ill else 200, {"object": "list", "data": []})
        else:
            self.send(404, {"error": {"message": "scripted"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers), body))
            number = len(self.server.requests)
            behaviour = self.server.behaviours.pop(number, None) or self.server.always
        if self.server.key is not None and self.server.key not in (self.headers.get("api-key"), bearer(self.headers)):
            self.send(401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}})
            return
        if behaviour is not None:
            behaviour(self, body)
            return
        self.answer(body, self.server.reply(body["messages"]))

    def answer(self, body: dict[str, Any], text: str, finish: str = "stop") -> None:
        prompt = sum(len(message["content"].split()) for message in body["messages"])
        completion = len(text.split())
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        self.send(
            200,
            {
                "id": "c1",
                "object": "chat.completion",
                "created": 0,
                "model": body.get("model", "m"),
                "choices": [choice],
                "usage": usage,
            },
        )

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Print nothing into the tests' output."""


class ScriptedServer(ThreadingHTTPServer):
    """The server and the requests it received; `behaviours` maps the number of a request, from 1, to its behaviour."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.checks: list[str] = []
        self.ill = False
        self.behaviours: dict[int, Behaviour] = {}
        self.always: Behaviour | None = None
        self.key: str | None = None
        self.reply: Callable[[list[dict[str, str]]], str] = all_outside

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def bearer(headers: Any) -> str:
    return str(headers.get("Authorization", "")).removeprefix("Bearer ")


def all_outside(messages: list[dict[str, str]]) -> str:
    tokens = messages[-1]["content"].rsplit("\n", 1)[-1].split(" ")
    return "\n".join(f"{token} : O" for token in tokens)


def status(code: int, headers: dict[str, str] | None = None) -> Behaviour:
    return lambda handler, body: handler.send(code, {"error": {"code": str(code), "message": "scripted"}}, headers)


def slow(seconds: float) -> Behaviour:
    def behave(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.answer(body, handler.server.reply(body["messages"]))

    return behave


def half_json(handler: Handler, body: dict[str, Any]) -> None:
    handler.send(200, b'{"id": "c1", "choices": [{"mess')


def content_filter(handler: Handler, body: dict[str, Any]) -> None:
    error = {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
    handler.send(400, {"error": error})
