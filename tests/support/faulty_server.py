"""Faults of a model server: behaviours for `ScriptedServer`, and a server that goes down and comes back at the same address."""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import Any

from support.scripted_server import Behaviour, Handler, ScriptedServer


def cut_off(handler: Handler, body: dict[str, Any]) -> None:
    """Send half of an answer although the header promises all of it, then close the connection."""
    data = json.dumps({"id": "c1", "choices": [{"message": {"content": "x"}}]}).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def reset(handler: Handler, body: dict[str, Any]) -> None:
    """Reset the connection in the middle of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cut_off(handler, body)
    handler.connection.close()


def ended_by_length(handler: Handler, body: dict[str, Any]) -> None:
    """Send half of an answer, and report that the length limit ended it."""
    whole = handler.server.reply(body["messages"])
    handler.answer(body, whole[: len(whole) // 2], finish="length")


def held(gate: threading.Event) -> Behaviour:
    """A behaviour that waits for an event before it answers."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        gate.wait(600)
        handler.answer(body, handler.server.reply(body["messages"]))

    return behave


def key_changes(key: str) -> Behaviour:
    """A behaviour that answers and then changes the valid key."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.answer(body, handler.server.reply(body["messages"]))
        handler.server.key = key

    return behave


class FaultyServer(ScriptedServer):
    """A scripted server that can go down for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.place = self.server_address
        self.open: set[socket.socket] = set()
        self.start()

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def go_down(self) -> None:
        """Refuse new connections, and drop the open ones."""
        self.shutdown()
        self.socket.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # already closed
        self.open.clear()

    def come_back(self) -> None:
        """Answer again, at the same address."""
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.place)
        self.server_activate()
        self.start()

    def heal(self) -> None:
        """Remove all faults, and forget the requests so far."""
        with self.lock:
            self.requests.clear()
            self.behaviours.clear()
            self.always = self.key = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: tests kill clients on purpose."""
