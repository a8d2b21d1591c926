"""A small HTTP server that speaks the Batch API of OpenAI and Azure (`/files`, `/batches`), with scripted faults: for tests.

A batch is done after `polls` polls. Each of its requests gets the answer that `ScriptedServer` would give.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from support.scripted_server import all_outside, Handler, ScriptedServer

Fate = Callable[[dict[str, Any], int], dict[str, Any] | None]


class BatchHandler(Handler):
    """One request of the Batch API."""

    server: ScriptedBatches

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.lock:
            server.calls.append(f"POST {self.short}")
            if (fault := server.faults.pop(f"POST {self.short}", None)) is not None and fault != "late":
                self.send(int(fault), {"error": {"message": "scripted", "code": str(fault)}})
                return
            if self.short == "/files":
                self.send(200, server.keep(*self._form(data)))
            else:
                batch = server.submit(json.loads(data))
                self.send(503 if fault == "late" else 200, {"error": {"message": "scripted"}} if fault == "late" else batch)

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.calls.append(f"GET {re.sub('[0-9]+', 'N', self.short)}")
            parts = self.short.strip("/").split("/")
            if parts[-1] == "content":
                self.send(200, server.files[parts[1]][1])
            elif len(parts) == 1:
                objects = server.batches.values() if parts[0] == "batches" else [about for about, _ in server.files.values()]
                self.send(200, {"object": "list", "data": list(objects), "has_more": False})
            elif parts[0] == "files":
                self.send(200, server.files[parts[1]][0])
            else:
                self.send(200, server.look_after(parts[1]))

    def do_DELETE(self) -> None:
        name = self.short.strip("/").split("/")[1]
        with self.server.lock:
            known = self.server.files.pop(name, None)
        self.send(200 if known else 404, {"id": name, "object": "file", "deleted": bool(known)})

    @property
    def short(self) -> str:
        """The path without the version and the query."""
        return re.sub(r"^(/openai)?(/v1)?", "", self.path).split("?")[0]

    def _form(self, data: bytes) -> tuple[str, bytes]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        for part in BytesParser(policy=HTTP).parsebytes(head + data).iter_parts():  # type: ignore[attr-defined]
            if part.get_filename():
                return part.get_filename(), part.get_payload(decode=True)
        raise AssertionError("no file")


class ScriptedBatches(ScriptedServer):
    """The server.

    Attributes:
        polls: The number of polls after which a batch is done.
        ends: The final statuses of the batches in order; the last one applies to all later batches.
        fate: Maps a request's line and its number in the batch to the fields of its error line, or to None for the usual answer.
        faults: Statuses by `METHOD /path`, each sent once; `late` creates the batch and then sends 503.
    """

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = BatchHandler
        self.calls: list[str] = []
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looked: dict[str, int] = {}
        self.polls = 1
        self.ends = ["completed"]
        self.fate: Fate = lambda line, number: None
        self.faults: dict[str, int | str] = {}
        self.answered: list[str] = []
        self.numbers = itertools.count(1)
        self.reply = all_outside
        self.lock = threading.RLock()

    def keep(self, name: str, content: bytes) -> dict[str, Any]:
        key = f"file-{next(self.numbers)}"
        about = {"id": key, "object": "file", "bytes": len(content), "created_at": 0, "filename": name}
        self.files[key] = ({**about, "purpose": "batch", "status": "processed"}, content)
        return self.files[key][0]

    def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        key = f"batch-{next(self.numbers)}"
        about = {"id": key, "object": "batch", "created_at": 0, "status": "validating", "completion_window": "24h"}
        self.batches[key] = {**about, "endpoint": body["endpoint"], "input_file_id": body["input_file_id"]}
        return self.batches[key]

    def look_after(self, key: str) -> dict[str, Any]:
        batch = self.batches[key]
        self.looked[key] = self.looked.get(key, 0) + 1
        if self.looked[key] >= self.polls and batch["status"] == "validating":
            batch["status"] = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
            if batch["status"] == "failed":
                batch["errors"] = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": "scripted"}]}
            else:
                self._answer(batch)
        return batch

    def _answer(self, batch: dict[str, Any]) -> None:
        out, errors = [], []
        for number, row in enumerate(self.files[batch["input_file_id"]][1].splitlines(), 1):
            line = json.loads(row)
            error_fields = self.fate(line, number)
            if error_fields is None:
                self.answered.append(line["custom_id"])
                out.append({"custom_id": line["custom_id"], "response": {"status_code": 200, "body": self._body(line["body"])}})
            else:
                errors.append({"custom_id": line["custom_id"], **error_fields})
        for kind, rows in (("output_file_id", out), ("error_file_id", errors)):
            if rows:
                batch[kind] = self.keep(f"{kind}.jsonl", "\n".join(map(json.dumps, rows)).encode())["id"]

    def _body(self, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.reply(body["messages"])}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def failed(status: int, code: str, message: str = "scripted") -> dict[str, Any]:
    """The fields of the line of a request that was answered with an error."""
    return {"response": {"status_code": status, "body": {"error": {"code": code, "message": message}}}, "error": None}


EXPIRED: dict[str, Any] = {"response": None, "error": {"code": "batch_expired", "message": "scripted"}}
