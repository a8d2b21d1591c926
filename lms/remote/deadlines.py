"""One deadline for a whole HTTP request, from connecting to the last byte.

httpx applies its timeouts to each single read, so a server that sends a byte now and then never times out. Here the request's
timeout bounds all reads and writes together: each operation gets the remaining time. A sync client does its input and output in
the thread that sends the request, so the deadline is thread-local.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

_LEAST = 0.001


class _Deadline(threading.local):
    at: float | None = None


_deadline = _Deadline()


class AnswerTooLargeError(httpx.HTTPError):
    """An answer with more bytes than allowed, or in an encoding whose size cannot be bounded."""


def limit_time(client: httpx.Client) -> None:
    """Make a client's requests end at their timeout, whatever the server does."""
    for transport in [client._transport, *client._mounts.values()]:
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend()


def start_clock(request: httpx.Request) -> None:
    """Set the deadline of a request that begins (an event hook of httpx): its read timeout bounds the whole request."""
    seconds = request.extensions.get("timeout", {}).get("read")
    _deadline.at = None if seconds is None else time.monotonic() + seconds


def _left(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    """Seconds that a single operation may take.

    Raises:
        httpcore.TimeoutException: The deadline has passed.
    """
    if _deadline.at is None:
        return timeout
    left = _deadline.at - time.monotonic()
    if left < _LEAST:
        raise error("the request's time is over")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


def read_bounded(response: httpx.Response, most: int) -> bytes:
    """The decoded body of a streamed response.

    Args:
        response: A response whose body is not read yet.
        most: Maximum number of bytes after decompression.

    Raises:
        AnswerTooLargeError: The body is larger, or is compressed with something other than gzip or deflate.
        httpx.HTTPError: The body is truncated or damaged, or the deadline has passed.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "deflate"):
        raise AnswerTooLargeError(f"an answer in the encoding {encoding[:20]!a}")
    decoder = None if encoding in ("identity", "") else zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    try:
        for part in response.iter_raw():
            for plain in [part] if decoder is None else _decompressed(decoder, part, most):
                body += plain
                if len(body) > most:
                    raise AnswerTooLargeError(f"an answer of more than {most} bytes")
    except zlib.error:
        raise httpx.DecodingError("a damaged compressed answer") from None
    return bytes(body)


def _decompressed(decoder: Any, part: bytes, max_bytes: int) -> Iterator[bytes]:
    """Decompress a part of a body in chunks of bounded size."""
    while part and not decoder.eof:
        yield decoder.decompress(part, max_bytes + 1)
        part = decoder.unconsumed_tail
