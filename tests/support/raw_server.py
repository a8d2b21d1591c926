"""A raw-socket server that misbehaves in one named way: it sends malformed, slow, endless or compressed bytes."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

Behaviour = Callable[["RawServer", socket.socket], None]


def _answer(text: str = "Fever : O") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    completion = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(completion).encode()


def _head(status: str = "200 OK", **headers: str | int) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _plain(body: bytes, status: str = "200 OK", **headers: str | int) -> bytes:
    return _head(status, Content_Length=len(body), Connection="close", **headers) + body


def _sends(*parts: bytes) -> Behaviour:
    def behave(server: RawServer, connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return behave


def _slowly(*parts: bytes, pause: float = 0.2) -> Behaviour:
    def behave(server: RawServer, connection: socket.socket) -> None:
        for part in parts:
            for n in range(len(part)):
                if server.closed.wait(pause):
                    return
                connection.sendall(part[n : n + 1])

    return behave


def _endless(head: bytes, part: bytes) -> Behaviour:
    def behave(server: RawServer, connection: socket.socket) -> None:
        connection.sendall(head)
        while not server.closed.is_set():
            connection.sendall(part)

    return behave


def _silent(server: RawServer, connection: socket.socket) -> None:
    server.closed.wait(60)


def _reset(server: RawServer, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


_BOMB = gzip.compress(bytes(1 << 30), 1)
_CHUNK = b"%x\r\n%s\r\n" % (1 << 16, b"x" * (1 << 16))

BEHAVIOURS: dict[str, Behaviour] = {
    "good": _sends(_plain(_answer())),
    "good gzip": _sends(_plain(gzip.compress(_answer()), Content_Encoding="gzip")),
    "good deflate": _sends(_plain(zlib.compress(_answer()), Content_Encoding="deflate")),
    "good in pieces": _sends(*[_plain(_answer())[n : n + 7] for n in range(0, len(_plain(_answer())), 7)]),
    "says 100 first": _sends(b"HTTP/1.1 100 Continue\r\n\r\n", _plain(_answer())),
    "a byte now and then": _slowly(_head(Content_Length=10_000), b" " * 10_000),
    "headers a byte now and then": _slowly(_head(X=("y" * 5_000))),
    "endless headers": _endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "endless body": _endless(_head(Transfer_Encoding="chunked"), _CHUNK),
    "endless body without length": _endless(_head(Connection="close"), b"x" * 65_536),
    "a gzip bomb": _sends(_plain(_BOMB, Content_Encoding="gzip")),
    "a bomb in an encoding nobody asked for": _sends(_plain(b"\x28\xb5\x2f\xfd" * 999, Content_Encoding="zstd")),
    "damaged gzip": _sends(_plain(b"\x1f\x8b" + b"\x00" * 50, Content_Encoding="gzip")),
    "20 MB of spaces": _sends(_plain(b" " * 20_000_000)),
    "a length that is too long": _sends(_head(Content_Length=10_000, Connection="close"), b"{}"),
    "nothing": _silent,
    "hangs up": _sends(),
    "resets": _reset,
    "no HTTP": _sends(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "half a line": _sends(b"HTTP/1.1 200"),
    "a negative length": _sends(_head(Content_Length=-5)),
    "two lengths": _sends(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
    "no JSON": _sends(_plain(b"<html>busy</html>")),
    "JSON of 100,000 lists": _sends(_plain(b"[" * 100_000)),
    "bad UTF-8": _sends(_plain(b'{"choices": "\xff\xfe"}')),
    "a redirection": _sends(_plain(b"", "307 Temporary Redirect", Location="http://evil.test/")),
    "500": _sends(_plain(b"{}", "500 Internal Server Error")),
    "a pause of a year": _sends(_plain(b"{}", "429 Too Many Requests", Retry_After=31_536_000)),
    "a pause until 2999": _sends(_plain(b"{}", "429 Too Many Requests", Retry_After="Mon, 01 Jan 2999 00:00:00 GMT")),
}
"""Behaviours by name; the `good...` ones send a valid answer."""


class RawServer:
    """The server; each connection carries one request.

    Args:
        behave: Handles a connection after its request is read.
    """

    def __init__(self, behave: Behaviour) -> None:
        self.behave, self.closed, self.requests = behave, threading.Event(), 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self.closed.is_set():
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(65_536)
                if not part:
                    return
                request += part
            head, _, body = request.partition(b"\r\n\r\n")
            length = next((int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:")), 0)
            while len(body) < length:
                body += connection.recv(65_536)
            self.requests += 1
            self.behave(self, connection)

    def close(self) -> None:
        self.closed.set()
        self.listening.close()
        time.sleep(0)


@contextlib.contextmanager
def behaving(name: str) -> Iterator[RawServer]:
    """A server with one of `BEHAVIOURS`."""
    server = RawServer(BEHAVIOURS[name])
    try:
        yield server
    finally:
        server.close()
