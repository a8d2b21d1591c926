"""A scripted stand-in for the Hugging Face hub: one dataset, `some/set`, of given files. It runs no network beyond this machine."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any

COMMIT = "a" * 40


@contextmanager
def scripted_hub(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve the files; yield the server's address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(self.path)
            self._send(*_answer(self.path.partition("?")[0], files))

        def _send(self, code: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def _answer(path: str, files: Mapping[str, bytes]) -> tuple[int, bytes, dict[str, str]]:
    as_json = {"Content-Type": "application/json"}
    if re.fullmatch(r"/api/datasets/some/set(/revision/[^/]+)?", path):
        info = {"id": "some/set", "sha": COMMIT, "private": False, "siblings": [{"rfilename": name} for name in files], "tags": []}
        return 200, json.dumps(info).encode(), as_json
    if match := re.fullmatch(r"/api/datasets/some/set/tree/[^/]+/?(.*)", path):
        below = [{"type": "file", "path": n, "size": len(b), "oid": _digest(b)} for n, b in files.items() if n.startswith(match[1])]
        folders = {str(PurePosixPath(name).parent) for name in files} - {".", match[1]}
        return 200, json.dumps(below + [{"type": "directory", "path": f, "size": 0, "oid": "0"} for f in folders]).encode(), as_json
    if match := re.fullmatch(r"/datasets/some/set/resolve/[^/]+/(.*)", path):
        if match[1] in files:
            return 200, files[match[1]], {"X-Repo-Commit": COMMIT, "ETag": f'"{_digest(files[match[1]])}"'}
        return 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
    return 404, b"", {"X-Error-Code": "RepoNotFound"}


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
