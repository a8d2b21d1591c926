"""The HTTP transport to one server: DSPy's native client sends every request through it.

It asks a server on this machine directly, whatever the environment says of proxies, follows no redirection, and has each
request written down first (`lms.remote.audit`).
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
from dspy import lm15

from clinspan.lms.errors import ModelError
from clinspan.lms.remote.audit import audited
from clinspan.lms.remote.deadlines import limit_time, read_bounded, start_clock
from clinspan.lms.remote.entra import EntraTokens
from clinspan.lms.remote.hosts import host_outside
from clinspan.lms.remote.refusals import parameter_refused

_CONNECT = 10.0
_CHECK = 5.0
_ILL = (500, 502, 503, 504)
_LEFT_OUT = ("content-encoding", "content-length", "transfer-encoding")  # of a body that is whole and decoded
_COUNTS = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")
_MOST_TOKENS = 1 << 40
Rewrite = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server is given.

    Attributes:
        connect: Seconds for connecting.
        check: Seconds for the question whether it is there.
        answer_bytes: Size of an answer after decompression.
        pause: The longest pause in seconds that it may ask for by `Retry-After`.
    """

    connect: float = _CONNECT
    check: float = _CHECK
    answer_bytes: int = 8 << 20
    pause: float = 60.0


@dataclass
class Reply:
    """A server's answer, whole, in the shape that DSPy's client reads."""

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
    """A client for one server: without proxies if it is this machine, and never for another place than asked.

    Args:
        address: The server's.
        timeout: Seconds for a whole request, from connecting to the last byte of the answer.
        connections: Requests in progress at once.
        connect: Seconds of these for connecting.
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
    """
    Raises:
        ModelError: The server sends requests elsewhere, which may be out of this machine.
    """
    if response.is_redirect:
        host = response.request.url.host
        raise ModelError(
            f"the server at {host} sends requests elsewhere ({response.status_code}); they do not follow: nothing was sent there. "
            "Give the address at which it answers by itself"
        )


def sound_usage(body: bytes) -> bytes:
    """A chat completion whose usage can be read, so that no good answer is lost for a count.

    Whole numbers written otherwise (`"12"`, `7.0`) stay as numbers; a usage with anything else in it is left out. A list of
    probabilities with a null in it is left out too. What is no JSON object is given back as it is.
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
    for choice in content.get("choices") or ():
        listed = choice.get("logprobs") if isinstance(choice, dict) else None
        if isinstance(listed, dict) and not _are_probabilities(listed.get("content")):
            choice["logprobs"], changed = None, True
    return json.dumps(content).encode() if changed else body


def _counts(usage: Any) -> dict[str, Any] | None:
    """A usage as whole numbers that are not negative; None if it has anything else."""
    if not isinstance(usage, dict):
        return None
    found: dict[str, Any] = {}
    for name, value in usage.items():
        if name in _COUNTS:
            try:
                number = float(value)
            except (TypeError, ValueError):
                return None
            if not math.isfinite(number) or number < 0 or number != int(number) or number > _MOST_TOKENS:
                return None
            found[name] = int(number)
        elif isinstance(value, dict):
            found[name] = {key: n for key, n in value.items() if type(n) is int and 0 <= n <= _MOST_TOKENS}
        elif value is None or isinstance(value, (str, bool, int, float)):
            found[name] = value
    return found


def _are_probabilities(content: Any) -> bool:
    return content is None or (
        isinstance(content, list) and all(isinstance(one, dict) and isinstance(one.get("logprob"), (int, float)) for one in content)
    )


def _seconds(value: str) -> float:
    """The pause of a `Retry-After` header, which is a number of seconds or a date; 0 if it is neither.

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
    """One server, as a transport of DSPy's native client.

    Args:
        address: The server's base address, for the question whether it is there and where it is.
        model: What it is asked for, for the audit.
        timeout: Seconds for a whole request.
        limits: Of time and size, beside that.
        connections: Requests that may be in progress at once.
        rewrite: Gives the address of a request, where it is another than the client makes.
        headers: Of the question whether it is there: its key.
        tokens: Gives what is sent instead of a key.
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
            ModelError: The server wants the request to go elsewhere, or refuses a parameter of every request.
            UnavailableError: There is no token to send with it.
        """
        url = self.rewrite(request.url) if self.rewrite else request.url
        with audited(url, model=self.model, size=len(request.body)) as note:
            response, body = self._sent(request, url)
            if response.status_code >= 400:
                note.outcome = f"failed {response.status_code}"
                if (refused := parameter_refused(response.status_code, body, request.body)) is not None:
                    raise ModelError(refused)
        body = sound_usage(body) if response.status_code < 400 else body
        kept = [(key, value) for key, value in response.headers.items() if key.lower() not in _LEFT_OUT]
        return Reply(response.status_code, body, [(key, self._pause(key, value)) for key, value in kept])

    def _sent(self, request: Any, url: str) -> tuple[httpx.Response, bytes]:
        """The answer and its body; a token that the server refuses is renewed once."""
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
        """The header's value; a longer pause than allowed is shortened, and the user told."""
        if header.lower() != "retry-after" or (asked := _seconds(value)) <= self.limits.pause:
            return value
        said = f"the server asks for a pause of {asked:,.0f} s; {self.limits.pause:g} s are waited (model.longest_pause)"
        print(f"clinspan: {said}", file=sys.stderr)
        return f"{self.limits.pause:g}"

    def health_error(self) -> str | None:
        """What is wrong with the server, or None if it answers `/models` or `/health`, whichever it has. Sends no text."""
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
            if status in _ILL:  # as of transformers' own server, which lists no models without a network
                health_error = f"status {status}"
        return health_error

    def close(self) -> None:
        self.client.close()
