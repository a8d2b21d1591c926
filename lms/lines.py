"""The line to one server, over which every byte goes that leaves for a model: DSPy's native client speaks through it.

It asks a server on this machine directly, whatever the environment says of proxies, follows no redirection, and has each
request written down first (`lms.audit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from dspy import lm15

from lms.audit import audited
from lms.errors import ModelError
from lms.hosts import host_outside

_CONNECT = 10.0
_CHECK = 5.0
_ILL = (500, 502, 503, 504)
_LEFT_OUT = ("content-encoding", "content-length", "transfer-encoding")  # of a body that is whole and decoded
Rewrite = Callable[[str], str]


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


def http_client(address: str, *, timeout: float, connections: int = 100) -> httpx.Client:
    """A client for one server: without proxies if it is this machine, and never for another place than asked."""
    return httpx.Client(
        timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT)),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=host_outside(address) is not None,
        follow_redirects=False,
        event_hooks={"response": [refuse_redirection]},
    )


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


class Line:
    """One server, as a transport of DSPy's native client.

    Args:
        address: The server's base address, for the question whether it is there and where it is.
        model: What it is asked for, for the audit.
        timeout: Seconds to wait for each part of an answer.
        connections: Requests that may be under way at once.
        rewrite: Gives the address of a request, where it is another than the client makes.
        headers: Of the question whether it is there: its key.
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
    ) -> None:
        self.address, self.model, self.rewrite, self.headers = address.rstrip("/"), model, rewrite, dict(headers or {})
        self.client = http_client(address, timeout=timeout, connections=max(100, connections))

    def stream(self, request: Any) -> Reply:
        """Send one request of DSPy's client and read the whole answer.

        Raises:
            lm15.TransportError: There was no answer.
            ModelError: The server wants the request to go elsewhere.
        """
        url = self.rewrite(request.url) if self.rewrite else request.url
        with audited(url, model=self.model, size=len(request.body)) as note:
            try:
                response = self.client.request(request.method, url, headers=request.headers, content=request.body)
            except httpx.HTTPError as error:
                raise lm15.TransportError(type(error).__name__) from None
            if response.status_code >= 400:
                note.outcome = f"failed {response.status_code}"
        kept = [(key, value) for key, value in response.headers.items() if key.lower() not in _LEFT_OUT]
        return Reply(response.status_code, response.content, kept)

    def trouble(self) -> str | None:
        """What is wrong with the server, or None if it answers `/models` or `/health`, whichever it has. Sends no text."""
        trouble = None
        for url in (f"{self.address}/models", f"{self.address.removesuffix('/v1')}/health"):
            try:
                status = self.client.get(url, headers={**self.headers, "Connection": "close"}, timeout=_CHECK).status_code
            except httpx.HTTPError as error:
                trouble = type(error).__name__
                continue
            if status not in (404, *_ILL):
                return None
            if status in _ILL:  # as of transformers' own server, which lists no models without a network
                trouble = f"status {status}"
        return trouble

    def close(self) -> None:
        self.client.close()
