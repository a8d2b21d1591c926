"""Audit log of requests that leave this machine: one line per request in `audit.jsonl`, written before sending, without text.

    {"when": "...", "host": "x.openai.azure.com", "scheme": "https", "model": "gpt-4o", "sentences": 1,
     "documents": ["note7"], "bytes": 2113, "outcome": "answered"}

If a prompt holds demonstrations, `demonstrations` names the documents that they come from.

The outcome is first `sent` and is overwritten in place once it is known. A request that still has the outcome `sent` was in
progress when the process was killed; its text may have left. Requests to this machine are not recorded.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlsplit

from clinspan.lms.errors import ModelError
from clinspan.lms.remote.hosts import host_outside, proxy_of

_WIDTH = 48
_documents: ContextVar[tuple[str, ...]] = ContextVar("documents", default=())
_sentence: ContextVar[str] = ContextVar("sentence", default="")
_demonstrations: ContextVar[tuple[str, ...]] = ContextVar("demonstrations", default=())


class AuditLog:
    """The audit file of one run. Several threads and processes may write to it at once.

    Args:
        folder: The run's folder; the file is created with the first request.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "audit.jsonl"
        self._lock = threading.Lock()

    def begin(self, facts: dict[str, object]) -> int:
        """Write a line and flush it to disk; returns the file offset of its outcome."""
        head = json.dumps(facts, ensure_ascii=False)[:-1].encode() + b', "outcome": '
        line = head + _padded("sent") + b"}\n"
        with self._lock:
            try:
                file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise ModelError(
                    f"{self.path} cannot be written ({reason}), so nothing was sent: make it writable and resume the run"
                ) from None
            try:
                os.write(file, line)  # one call: lines of other processes stay whole
                offset = os.lseek(file, 0, os.SEEK_CUR) - len(line) + len(head)
                os.fsync(file)
            finally:
                os.close(file)
        return offset

    def end(self, at: int, outcome: str) -> None:
        """Overwrite the outcome at an offset."""
        with self._lock, self.path.open("rb+", buffering=0) as file:
            file.seek(at)
            file.write(_padded(outcome))


class Sent:
    """A request in progress; `outcome` is recorded when it ends."""

    outcome = "answered"


class _Current:
    log: AuditLog | None = None


def audit_to(folder: Path | None) -> None:
    """Record the requests of this process in a folder from now on; None: record nothing."""
    _Current.log = None if folder is None else AuditLog(folder)


def home() -> Path | None:
    """The folder of the current run; None without an audit log."""
    return None if _Current.log is None else _Current.log.folder


@contextmanager
def asking(*documents: str) -> Iterator[None]:
    """Declare the documents that this thread's requests are about; the outermost call takes precedence."""
    token = _documents.set(_documents.get() or documents)
    try:
        yield
    finally:
        _documents.reset(token)


@contextmanager
def demonstrating(*documents: str) -> Iterator[None]:
    """Declare the documents from which this thread's requests take demonstrations."""
    token = _demonstrations.set(documents)
    try:
        yield
    finally:
        _demonstrations.reset(token)


@contextmanager
def sentence_id(id: str) -> Iterator[None]:
    """Declare the sentence that this thread's requests are about."""
    token = _sentence.set(id)
    try:
        yield
    finally:
        _sentence.reset(token)


def current_sentence_id() -> str:
    """The id of the sentence that this thread's requests are about; empty if none is declared."""
    return _sentence.get()


def demonstrated() -> tuple[str, ...]:
    """The documents from which this thread's requests take demonstrations."""
    return _demonstrations.get()


def asked_about() -> tuple[str, ...]:
    """The documents that this thread's requests are about."""
    return _documents.get()


@contextmanager
def audited(
    address: str, *, model: str, size: int, documents: tuple[str, ...] | None = None, sentences: int | None = None
) -> Iterator[Sent]:
    """Record a request to an address outside this machine, and its outcome when it ends.

    Args:
        address: The address of the request.
        model: The model or deployment.
        size: Bytes of the request's body.
        documents: The documents that it is about; None: those declared by `asking`.
        sentences: Number of sentences in it; None: one if it is about a document, else none.
    """
    request, log, host = Sent(), _Current.log, host_outside(address)
    if log is None or host is None:
        yield request
        return
    document_ids = asked_about() if documents is None else documents
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts: dict[str, object] = {"when": when, "host": _place(address, host), "scheme": urlsplit(address).scheme}
    if proxy := proxy_of(address):
        facts["via"] = proxy
    count = (1 if document_ids else 0) if sentences is None else sentences
    facts |= {"model": model, "sentences": count, "documents": list(document_ids)}
    if sources := demonstrated():
        facts["demonstrations"] = list(sources)
    offset = log.begin({**facts, "bytes": size})
    try:
        yield request
    except BaseException as error:
        log.end(offset, f"failed {type(error).__name__}")
        raise
    log.end(offset, request.outcome)


def _place(address: str, host: str) -> str:
    port = urlsplit(address).port
    return host if port is None else f"{host}:{port}"


def _padded(outcome: str) -> bytes:
    """The outcome as JSON, padded or cut to a fixed number of bytes.

    >>> len(_padded("sent")) == len(_padded("failed LMServerError 503")) == len(_padded("x" * 99))
    True
    """
    return json.dumps(outcome.encode("ascii", "replace").decode()[: _WIDTH - 2]).ljust(_WIDTH).encode()[:_WIDTH]
