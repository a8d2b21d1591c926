"""Protocols of engines: DSPy's contract, and what clinspan's own engines offer beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable, TYPE_CHECKING

from clinspan.lms import lm15

if TYPE_CHECKING:
    import dspy


@runtime_checkable
class Engine(Protocol):
    """The methods that DSPy calls on the engine of a `dspy.LM`."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the answer to a request."""

    def stream(self, request: lm15.Request) -> Any:
        """Return the answer as events."""

    def close(self) -> None:
        """Free what the engine holds."""


@runtime_checkable
class OwnModel(Protocol):
    """A `model=` option of a class of one's own.

    Attributes:
        name: The model's name in tables.
        concurrency: Number of sentences that are sent to it at once.
        endpoints: The addresses that texts are sent to; empty if the model runs on this machine.
        price: US dollars per million prompt tokens and per million answer tokens, or None.
    """

    @property
    def name(self) -> str: ...
    @property
    def concurrency(self) -> int: ...
    @property
    def endpoints(self) -> tuple[str, ...]: ...
    @property
    def price(self) -> tuple[float, float] | None: ...

    def build(self) -> dspy.LM:
        """Load or connect the model: a `dspy.LM`, whose `engine` may be one of one's own (`Engine`)."""


@runtime_checkable
class LocalEngine(Engine, Protocol):
    """Computes on this machine. It takes grammars and drafts, and answers requests of many threads in one batch.

    Attributes:
        takes_grammar: Whether it reads `grammar` and `draft` from the extensions of a request.
        weights: Source of the weights: their `id` and `revision`.
    """

    takes_grammar: bool
    weights: Any

    def expect(self, threads: int) -> AbstractContextManager[Callable[[], None]]:
        """Wait for this many threads before a batch begins. Each calls the yielded function after its last request."""

    def branch(self, threads: int) -> AbstractContextManager[Callable[[], None]]:
        """Wait for this many threads instead of the calling one, which makes no request meanwhile."""

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, without those that a template adds."""


@runtime_checkable
class RenderingEngine(Engine, Protocol):
    """Writes prompts by the chat template of its model.

    Attributes:
        writes_system: Whether prompts contain the system text of a conversation.
    """

    @property
    def writes_system(self) -> bool: ...

    def rendered(self, request: lm15.Request) -> str:
        """Return the prompt of a request as the model gets it, as text."""


@runtime_checkable
class ServedEngine(Engine, Protocol):
    """Sends requests to a server. A request holds only what the server's protocol defines.

    Attributes:
        wire: True; its presence marks such an engine.
    """

    wire: bool


@runtime_checkable
class CollectingEngine(ServedEngine, Protocol):
    """Sends many requests as one batch. `complete` raises `DeferredError` until the answer is available."""

    def collect(self, requests: Sequence[lm15.Request]) -> None:
        """Put requests into the next batch."""

    def fetch(self) -> None:
        """Send the batch and wait for its answers."""
