"""A small OTLP collector on a socket, which stores the requests it receives as bytes and as spans."""

from __future__ import annotations

from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from support.scripted_server import serving


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words: object) -> None:
        """Print nothing into the tests' output."""


class Collector(ThreadingHTTPServer):
    """The server and the requests it received."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def batches(self) -> list[Any]:
        """The received spans, one `ResourceSpans` for each batch and service."""
        spans: list[Any] = []
        for _, body in self.received:
            request = ExportTraceServiceRequest()
            request.ParseFromString(body)
            spans += request.resource_spans
        return spans


def collector() -> AbstractContextManager[Collector]:
    """A collector that listens until its context ends."""
    return serving(Collector())
