"""What the programs ask of an engine: DSPy's contract, and what engines of ours can do beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from dspy import lm15


@runtime_checkable
class Engine(Protocol):
    """What DSPy asks of the engine of a `dspy.LM`."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        """The answer to a request."""

    def stream(self, request: lm15.Request) -> Any:
        """The answer as events."""

    def close(self) -> None:
        """Free what the engine holds."""


@runtime_checkable
class LocalEngine(Engine, Protocol):
    """Computes on this machine: takes grammars and drafts, and answers requests of many threads in one batch.

    Attributes:
        takes_grammar: Whether it reads `grammar` and `draft` among a request's extensions.
        weights: Where the weights come from: their `id` and `revision`.
    """

    takes_grammar: bool
    weights: Any

    def expect(self, threads: int) -> AbstractContextManager[Callable[[], None]]:
        """Wait for so many threads before a batch begins; each calls what this gives when it has no more to ask."""

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, without the marks of a template."""


@runtime_checkable
class ServedEngine(Engine, Protocol):
    """Asks a server: a request holds what the server's protocol knows, and nothing else.

    Attributes:
        wire: True.
    """

    wire: bool


@runtime_checkable
class CollectingEngine(ServedEngine, Protocol):
    """Asks for many answers at once, which come late: a request without an answer ends with `DeferredError`."""

    def collect(self, requests: Sequence[lm15.Request]) -> None:
        """Put requests into the next batch."""

    def fetch(self) -> None:
        """Send the batch and wait for its answers."""
