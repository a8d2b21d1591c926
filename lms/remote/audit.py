"""Audit log of requests that leave this machine: one line each in `audit.jsonl`, written before sending, without text.

    {"when": "...", "host": "x.openai.azure.com", "scheme": "https", "model": "gpt-4o", "sentences": 1,
     "documents": ["note7"], "bytes": 2113, "outcome": "answered"}

Where a prompt holds demonstrations, `demonstrations` names the documents that they are taken from.

A line begins with the outcome `sent`, which is overwritten in its place when the outcome is known: what is still `sent` was
in progress when the process was killed, and counts as gone. Requests to this machine are not written down.
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
    """The file of one run. Several threads and processes may write to it at once.

    Args:
        folder: The run's; the file is made when something is sent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "audit.jsonl"
        self._lock = threading.Lock()

    def begin(self, facts: dict[str, object]) -> int:
        """Write a line and hand it to the disk; gives the place of its outcome."""
        head = json.dumps(facts, ensure_ascii=False)[:-1].encode() + b', "outcome": '
        line = head + _padded("sent") + b"}\n"
        with self._lock:
            try:
                file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                why = error.strerror or type(error).__name__
                raise ModelError(f"{self.path} cannot be written ({why}), so nothing was sent: repair that and go on") from None
            try:
                os.write(file, line)  # one call: lines of other processes stay whole
                at = os.lseek(file, 0, os.SEEK_CUR) - len(line) + len(head)
                os.fsync(file)
            finally:
                os.close(file)
        return at

    def end(self, at: int, outcome: str) -> None:
        """Write an outcome to its place."""
        with self._lock, self.path.open("rb+", buffering=0) as file:
            file.seek(at)
            file.write(_padded(outcome))


class Sent:
    """A request in progress; `outcome` is what the audit says of it when it is over."""

    outcome = "answered"


class _Current:
    log: AuditLog | None = None


def audit_to(folder: Path | None) -> None:
    """From now on requests of this process are recorded in this folder; None: nowhere."""
    _Current.log = None if folder is None else AuditLog(folder)


def home() -> Path | None:
    """The folder of the run that this process is at."""
    return None if _Current.log is None else _Current.log.folder


@contextmanager
def asking(*documents: str) -> Iterator[None]:
    """Within it requests of this thread are about these documents; the outermost takes precedence."""
    token = _documents.set(_documents.get() or documents)
    try:
        yield
    finally:
        _documents.reset(token)


@contextmanager
def demonstrating(*documents: str) -> Iterator[None]:
    """Within it requests of this thread hold demonstrations out of these documents."""
    token = _demonstrations.set(documents)
    try:
        yield
    finally:
        _demonstrations.reset(token)


@contextmanager
def sentence_id(id: str) -> Iterator[None]:
    """Within it requests of this thread are about this sentence."""
    token = _sentence.set(id)
    try:
        yield
    finally:
        _sentence.reset(token)


def current_sentence_id() -> str:
    """The sentence that this thread's requests are about; empty if that is not said."""
    return _sentence.get()


def demonstrated() -> tuple[str, ...]:
    """The documents of which this thread's requests hold demonstrations."""
    return _demonstrations.get()


def asked_about() -> tuple[str, ...]:
    """The documents that this thread's requests are about."""
    return _documents.get()


@contextmanager
def audited(
    address: str, *, model: str, size: int, documents: tuple[str, ...] | None = None, sentences: int | None = None
) -> Iterator[Sent]:
    """Record a request, if its address is outside this machine, and afterwards what became of it.

    Args:
        address: Where it goes.
        model: The model or deployment that is asked.
        size: Bytes of what is sent.
        documents: What it is about; None: what `asking` says.
        sentences: How many it holds; None: one if it is about a document.
    """
    request, log, host = Sent(), _Current.log, host_outside(address)
    if log is None or host is None:
        yield request
        return
    about = asked_about() if documents is None else documents
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts: dict[str, object] = {"when": when, "host": _place(address, host), "scheme": urlsplit(address).scheme}
    if via := proxy_of(address):
        facts["via"] = via
    count = (1 if about else 0) if sentences is None else sentences
    facts |= {"model": model, "sentences": count, "documents": list(about)}
    if shown := demonstrated():
        facts["demonstrations"] = list(shown)
    at = log.begin({**facts, "bytes": size})
    try:
        yield request
    except BaseException as error:
        log.end(at, f"failed {type(error).__name__}")
        raise
    log.end(at, request.outcome)


def _place(address: str, host: str) -> str:
    port = urlsplit(address).port
    return host if port is None else f"{host}:{port}"


def _padded(outcome: str) -> bytes:
    """The outcome as JSON in always the same number of bytes.

    >>> len(_padded("sent")) == len(_padded("failed LMServerError 503")) == len(_padded("x" * 99))
    True
    """
    return json.dumps(outcome.encode("ascii", "replace").decode()[: _WIDTH - 2]).ljust(_WIDTH).encode()[:_WIDTH]
