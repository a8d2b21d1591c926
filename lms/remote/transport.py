"""The HTTP transport to one server: DSPy's native client sends every request through it.

It connects to a server on this machine without a proxy, whatever the environment says. It follows no redirects. It records each
request before sending it (`lms.remote.audit`).
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from clinspan.lms import lm15
from clinspan.lms.errors import ModelError
from clinspan.lms.remote.audit import audited
from clinspan.lms.remote.deadlines import limit_time, read_bounded, start_clock
from clinspan.lms.remote.entra import EntraTokens
from clinspan.lms.remote.hosts import host_outside
from clinspan.lms.remote.refusals import parameter_refused

_CONNECT = 10.0
_CHECK = 5.0
_ILL = (500, 502, 503, 504)
_LEFT_OUT = ("content-encoding", "content-length", "transfer-encoding")  # they do not apply to a complete, decoded body
_COUNTS = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")
_MOST_TOKENS = 1 << 40
Rewrite = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of time and size for one server.

    Attributes:
        connect: Seconds for connecting.
        check: Seconds for a health check.
        answer_bytes: Maximum size of an answer after decompression.
        pause: Maximum pause in seconds that the server may ask for with `Retry-After`.
    """

    connect: float = _CONNECT
    check: float = _CHECK
    answer_bytes: int = 8 << 20
    pause: float = 60.0


@dataclass
class Reply:
    """A server's complete answer, in the form that DSPy's client reads."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    reason: str = ""
    http_version: str = "HTTP/1.1"

    def read(self) -> bytes:
        return self.body

    def __iter__(self) -> Iterator[bytes]:
        yield self.body

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is held open."""


def http_client(address: str, *, timeout: float, connections: int = 100, connect: float = _CONNECT) -> httpx.Client:
    """Create a client for one server. It uses no proxy if the server is this machine, and refuses redirects.

    Args:
        address: The server's address.
        timeout: Seconds for a whole request, from connecting to the last byte of the answer.
        connections: Maximum number of requests in progress.
        connect: Seconds of `timeout` for connecting.
    """
    client = httpx.Client(
        timeout=httpx.Timeout(timeout, connect=min(timeout, connect)),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=host_outside(address) is not None,
        follow_redirects=False,
        event_hooks={"request": [start_clock], "response": [refuse_redirection]},
        headers={"Accept-Encoding": "gzip, deflate"},
    )
    limit_time(client)
    return client


def refuse_redirection(response: httpx.Response) -> None:
    """Refuse a redirect (an event hook of httpx).

    Raises:
        ModelError: The server redirects the request, possibly out of this machine.
    """
    if response.is_redirect:
        host = response.request.url.host
        raise ModelError(
            f"the server at {host} redirects requests ({response.status_code}); redirects are not followed. Give the final address"
        )


def sound_usage(body: bytes) -> bytes:
    """Repair the usage of a chat completion, so that a malformed count does not lose a good answer.

    Whole numbers in another notation (`"12"`, `7.0`) become integers. A usage with any other value is removed, and so is a list of
    probabilities with a missing value. A body that is not a JSON object is returned unchanged.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(content, dict):
        return body
    changed = False
    usage = content.get("usage")
    if usage is not None:
        counts = _counts(usage)
        if counts != usage:
            content, changed = {**content, "usage": counts}, True
    choices = content.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        logprobs = choice.get("logprobs") if isinstance(choice, dict) else None
        if isinstance(logprobs, dict) and not _are_probabilities(logprobs.get("content")):
            choice["logprobs"], changed = None, True
    return json.dumps(content).encode() if changed else body


def _counts(usage: Any) -> dict[str, Any] | None:
    """A usage with counts as non-negative integers; None if a count is anything else."""
    if not isinstance(usage, dict):
        return None
    counts: dict[str, Any] = {}
    for name, value in usage.items():
        if name in _COUNTS:
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError):
                return None
            if not math.isfinite(number) or number < 0 or number != int(number) or number > _MOST_TOKENS:
                return None
            counts[name] = int(number)
        elif isinstance(value, dict):
            counts[name] = {key: n for key, n in value.items() if type(n) is int and 0 <= n <= _MOST_TOKENS}
        elif value is None or isinstance(value, (str, bool, int, float)):
            counts[name] = value
    return counts


def _are_probabilities(content: Any) -> bool:
    return content is None or (
        isinstance(content, list)
        and all(isinstance(token, dict) and isinstance(token.get("logprob"), (int, float)) for token in content)
    )


def _seconds(value: str) -> float:
    """The pause of a `Retry-After` header in seconds; 0 if the header is neither a number nor a date.

    >>> _seconds("120"), _seconds("-5"), _seconds("soon"), _seconds("Fri, 01 Jan 2100 00:00:00 GMT") > 1e9
    (120.0, 0.0, 0.0, True)
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


class HttpTransport:
    """A transport of DSPy's native client to one server.

    Args:
        address: The server's base address, for health checks and for the choice of a proxy.
        model: The model's name, for the audit.
        timeout: Seconds for a whole request.
        limits: Further limits of time and size.
        connections: Maximum number of requests in progress.
        rewrite: Returns the address to use for a request, if it differs from the client's.
        headers: Headers of health checks, such as the key.
        tokens: Source of the tokens that are sent instead of a key.
    """

    def __init__(
        self,
        address: str,
        *,
        model: str,
        timeout: float,
        connections: int,
        rewrite: Rewrite | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        tokens: EntraTokens | None = None,
    ) -> None:
        self.tokens = tokens
        self.limits = limits or Limits()
        self.address, self.model, self.rewrite, self.headers = address.rstrip("/"), model, rewrite, dict(headers or {})
        self.client = http_client(address, timeout=timeout, connections=max(100, connections), connect=self.limits.connect)

    def stream(self, request: Any) -> Reply:
        """Send one request of DSPy's client and read the whole answer.

        Raises:
            lm15.TransportError: There was no answer.
            ModelError: The server redirects the request, or refuses a parameter of every request.
            UnavailableError: No token is available.
        """
        url = self.rewrite(request.url) if self.rewrite else request.url
        with audited(url, model=self.model, size=len(request.body)) as note:
            response, body = self._sent(request, url)
            if response.status_code >= 400:
                note.outcome = f"failed {response.status_code}"
                if (explanation := parameter_refused(response.status_code, body, request.body)) is not None:
                    raise ModelError(explanation)
        body = sound_usage(body) if response.status_code < 400 else body
        headers = [(key, value) for key, value in response.headers.items() if key.lower() not in _LEFT_OUT]
        return Reply(response.status_code, body, [(key, self._pause(key, value)) for key, value in headers])

    def _sent(self, request: Any, url: str) -> tuple[httpx.Response, bytes]:
        """The response and its body; a token that the server refuses is renewed once."""
        authorization = self.tokens.header() if self.tokens else {}
        response, body = self._sent_once(request, url, authorization)
        if response.status_code == 401 and self.tokens is not None:
            renewed = self.tokens.header(refused=authorization["Authorization"])
            response, body = self._sent_once(request, url, renewed)
        return response, body

    def _sent_once(self, request: Any, url: str, authorization: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        headers = httpx.Headers(request.headers)
        if authorization:
            headers.pop("api-key", None)
            headers.update(authorization)
        try:
            with self.client.stream(request.method, url, headers=headers, content=request.body) as response:
                return response, read_bounded(response, self.limits.answer_bytes)
        except httpx.HTTPError as error:
            raise lm15.TransportError(type(error).__name__) from None

    def _pause(self, header: str, value: str) -> str:
        """The value of a header. A longer `Retry-After` than allowed is shortened, and the user is told."""
        if header.lower() != "retry-after" or (requested := _seconds(value)) <= self.limits.pause:
            return value
        message = (
            f"the server asked for a pause of {requested:,.0f} s; waiting {self.limits.pause:g} s instead (model.longest_pause)"
        )
        print(f"clinspan: {message}", file=sys.stderr)
        return f"{self.limits.pause:g}"

    def health_error(self) -> str | None:
        """What is wrong with the server; None if it answers `/models` or `/health`, whichever it has. Sends no prompt text."""
        health_error = None
        for url in (f"{self.address}/models", f"{self.address.removesuffix('/v1')}/health"):
            try:
                headers = {**self.headers, **(self.tokens.header() if self.tokens else {}), "Connection": "close"}
                with self.client.stream("GET", url, headers=headers, timeout=self.limits.check) as response:
                    status = response.status_code
            except (httpx.HTTPError, ModelError) as error:
                health_error = type(error).__name__
                continue
            if status not in (404, *_ILL):
                return None
            if status in _ILL:  # transformers' own server cannot list models without a network
                health_error = f"status {status}"
        return health_error

    def close(self) -> None:
        self.client.close()
