"""What is sent to a model about one sentence, noted while it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from clinspan.lms import lm15
from clinspan.lms.protocols import RenderingEngine

Turn = tuple[str, str]
"""Role and text."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """One request.

    Attributes:
        key: The key of its question.
        turns: The conversation, without a system text that the model's template leaves out.
        rendered: The prompt as the model's template writes it; None if a server does that.
    """

    key: str
    turns: tuple[Turn, ...]
    rendered: str | None

    @property
    def digest(self) -> str:
        """A hash of the rendered prompt, or of the conversation that a server gets: twelve hexadecimal digits."""
        text = json.dumps(self.turns) if self.rendered is None else self.rendered
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Attempt:
    """The requests of one tagger about a sentence.

    Attributes:
        demonstrations: Ids of the demonstrations in the prompt; None for one without an id.
        chunks: The retrieved chunks in the prompt, by their ids.
        requests: The requests.
    """

    demonstrations: tuple[str | None, ...] = ()
    chunks: Mapping[str, str] = field(default_factory=dict)
    requests: list[SentRequest] = field(default_factory=list)


_attempts: ContextVar[list[Attempt] | None] = ContextVar("clinspan_attempts", default=None)


@contextmanager
def noting() -> Iterator[list[Attempt]]:
    """Note what is sent within the block: one attempt for each tagger that asks."""
    attempts: list[Attempt] = []
    token = _attempts.set(attempts)
    try:
        yield attempts
    finally:
        _attempts.reset(token)


def begin_attempt(demonstrations: Sequence[Mapping[str, Any]], chunks: Sequence[str]) -> None:
    """Say what the prompts of the following requests contain."""
    attempts = _attempts.get()
    if attempts is not None:
        attempts.append(Attempt(tuple(demo.get("id") for demo in demonstrations), {chunk_id(text): text for text in chunks}))


def withdraw_attempt() -> None:
    """Forget the last attempt: its prompt did not fit."""
    if attempts := _attempts.get():
        attempts.pop()


def noted(lm: Any, requests: Iterable[tuple[str, lm15.Request]]) -> Iterator[tuple[str, lm15.Request]]:
    """Note each request, given with the key of its question, when it is taken: as one of the current attempt, if there is one."""
    for key, request in requests:
        if attempts := _attempts.get():
            attempts[-1].requests.append(_sent(lm, key, request))
        yield key, request


def _sent(lm: Any, key: str, request: lm15.Request) -> SentRequest:
    turns = tuple((str(message.role), message.text or "") for message in request.messages)
    engine = lm.engine
    rendered = engine.rendered(request) if isinstance(engine, RenderingEngine) else None
    if isinstance(request.system, str) and (rendered is None or engine.writes_system):
        turns = (("system", request.system), *turns)
    return SentRequest(key, turns, rendered)


def chunk_id(text: str) -> str:
    """The id of a chunk: its own (`retrievers.Passage`), else a hash of its text."""
    own = getattr(text, "id", None)
    return own if isinstance(own, str) else hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
