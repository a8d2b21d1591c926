"""Files of a run's batches, in `batches/` of its folder: requests, answers, and the state of each batch.

They hold text, as the run's predictions do. `NNNN.requests.jsonl` holds the uploaded requests, `NNNN.answers.jsonl` and
`NNNN.errors.jsonl` the downloaded answers and errors. `state.jsonl` is the resume state: it records each step before the step is
taken or right after it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clinspan.lms.errors import BatchError
from clinspan.lms.remote.transport import Reply

_LASTING = (200, 400, 413, 422)  # status codes that a retry would not change


@dataclass
class Part:
    """One batch.

    Attributes:
        name: Its number.
        address: The endpoint that it was sent to.
        digest: Digest of the requests; also the name of the uploaded file at the service.
        requests: Number of requests.
        sentences: Number of sentences that they are about.
        documents: Ids of the documents that they are about.
        step: The last step: `closed`, `uploading`, `uploaded`, `creating`, `created`, `settled` or `dropped`.
        file: The service's id of the uploaded file.
        batch: The service's id of the batch.
    """

    name: str
    address: str = ""
    digest: str = ""
    requests: int = 0
    sentences: int = 0
    documents: list[str] = field(default_factory=list)
    step: str = "open"
    file: str = ""
    batch: str = ""


class BatchFiles:
    """The folder of a run's batches. Threads may share it.

    Args:
        folder: The folder; it is created with mode 0700.
        address: The endpoint that batches are sent to.
        requests: Maximum number of requests in a batch.
        size: Maximum number of bytes in a batch.
    """

    def __init__(self, folder: Path, address: str, *, requests: int, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        self.folder, self.address, self.most_requests, self.most_bytes = folder, address, requests, size
        self.parts: dict[str, Part] = {}
        self._lock = threading.RLock()
        self._places: dict[str, tuple[Path, int]] = {}
        self._failed: dict[str, str] = {}
        self._under_way: set[str] = set()
        self._open: Part | None = None
        self._written = 0
        self._load()

    def path(self, part: Part, kind: str) -> Path:
        """The file of a batch that holds its `requests`, `answers` or `errors`."""
        return self.folder / f"{part.name}.{kind}.jsonl"

    def _load(self) -> None:
        """Read the resume state and index the answers, except for failures that a retry may fix."""
        state = self.folder / "state.jsonl"
        for row in _rows(state) if state.exists() else ():
            part = self.parts.setdefault(row["part"], Part(row["part"]))
            for key, value in row.items():
                if key != "part":
                    setattr(part, key, value)
        for path in self.folder.glob("*.requests.jsonl"):
            if path.name.split(".")[0] not in self.parts:
                path.unlink()  # the process ended before the batch was complete
        for part in self.parts.values():
            if part.step == "settled":
                self._index(part, fresh=False)
            elif part.step != "dropped":
                self._under_way.update(self._keys(part))

    def note(self, part: Part, step: str, **facts: Any) -> None:
        """Record a step of a batch."""
        part.step = step
        for key, value in facts.items():
            setattr(part, key, value)
        with self._lock, (self.folder / "state.jsonl").open("ab") as file:
            file.write((json.dumps({"part": part.name, "step": step, **facts}) + "\n").encode())

    def outstanding(self) -> list[Part]:
        """Batches whose answers have not arrived yet."""
        return [part for part in self.parts.values() if part.step not in ("settled", "dropped")]

    def find(self, key: str) -> Reply | None:
        """The answer to a request, or None if it has not arrived.

        Raises:
            BatchError: Its batch finished without an answer.
        """
        with self._lock:
            if key in self._failed:
                raise BatchError(self._failed[key])
            place = self._places.get(key)
        if place is None:
            return None
        with place[0].open("rb") as file:
            file.seek(place[1])
            response = json.loads(file.readline())["response"]
        return Reply(response["status_code"], json.dumps(response["body"]).encode(), [("content-type", "application/json")])

    def want(self, key: str, request: dict[str, Any], documents: tuple[str, ...]) -> bool:
        """Put a request into the next batch, unless it is in a batch already; returns whether it was added."""
        line = (json.dumps(request, ensure_ascii=False) + "\n").encode()
        with self._lock:
            if key in self._under_way:
                return False
            if self._open and (self._open.requests == self.most_requests or self._written + len(line) > self.most_bytes):
                self.close()
            if self._open is None:
                self._open, self._written = Part(f"{len(self.parts) + 1:04}", address=self.address), 0
                self.path(self._open, "requests").unlink(missing_ok=True)
            with self.path(self._open, "requests").open("ab") as file:
                file.write(line)
            self._under_way.add(key)
            self._written += len(line)
            self._open.requests += 1
            self._open.documents += [name for name in documents if name not in self._open.documents[-1:]]
            return True

    def count_sentence(self) -> None:
        """Count one more sentence in the batch that is being collected."""
        with self._lock:
            if self._open:
                self._open.sentences += 1

    def close(self) -> None:
        """Complete the batch that is being collected."""
        with self._lock:
            part, self._open = self._open, None
            if part is None:
                return
            with self.path(part, "requests").open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
            self.parts[part.name] = part
            names = list(dict.fromkeys(part.documents))
            facts = {"requests": part.requests, "sentences": part.sentences or part.requests, "documents": names}
            self.note(part, "closed", address=part.address, digest=digest, **facts)

    def settle(self, part: Part, status: str) -> int:
        """Index the downloaded answers; a request without one fails with the batch's status. Returns the number of good answers."""
        with self._lock:
            answered = self._index(part, fresh=True)
            keys = self._keys(part)
            for key in keys:
                self._under_way.discard(key)
                if key not in self._places and key not in self._failed:
                    self._failed[key] = status
            self.note(part, "settled")
        return answered

    def drop(self, part: Part) -> None:
        """Discard a batch that was never submitted, so that its requests are collected again."""
        with self._lock:
            self._under_way.difference_update(self._keys(part))
            self.path(part, "requests").unlink(missing_ok=True)
            self.note(part, "dropped")

    def _keys(self, part: Part) -> list[str]:
        path = self.path(part, "requests")
        return [row["custom_id"] for row in _rows(path)] if path.exists() else []

    def _index(self, part: Part, *, fresh: bool) -> int:
        """Index answers by file offset. Failures that a retry may fix count only in the process that met them (`fresh`)."""
        answered = 0
        for kind in ("answers", "errors"):
            path, offset = self.path(part, kind), 0
            if not path.exists():
                continue
            with path.open("rb") as file:
                for line in file:
                    row = _row(line)
                    key, status = row.get("custom_id"), (row.get("response") or {}).get("status_code")
                    if key and status is not None and (fresh or status in _LASTING):
                        self._places[key] = (path, offset)
                        self._failed.pop(key, None)
                        answered += status == 200
                    elif key and status is None and fresh and key not in self._places:
                        self._failed[key] = str((row.get("error") or {}).get("code") or "batch_no_answer")[:40]
                    offset += len(line)
        return answered


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of one of our files; a line that an interruption cut short is skipped."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _row(line: bytes) -> dict[str, Any]:
    """A line from the service as an object; empty if it is not one."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
