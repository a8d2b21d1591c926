"""A language model that is a function of one's own, for a class of `model=` that needs no more than text in and text out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TYPE_CHECKING

from clinspan.lms import lm15

if TYPE_CHECKING:
    import dspy

Turn = tuple[str, str]
"""Role (`system`, `user` or `assistant`) and text."""


class AnsweringEngine:
    """Answers requests by a function. Tokens are not counted.

    Args:
        answer: Gets the turns of a prompt, of which the last one holds the sentence, and returns the answer.
    """

    def __init__(self, answer: Callable[[Sequence[Turn]], str]) -> None:
        self.answer = answer

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return self: optimizers copy programs often, and all copies share one model."""
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        system = [("system", request.system)] if isinstance(request.system, str) else []
        turns = [(str(message.role), message.text or "") for message in request.messages]
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant(self.answer([*system, *turns])),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        )

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing to release."""


def lm_of(answer: Callable[[Sequence[Turn]], str], name: str) -> dspy.LM:
    """The language model that a function is; see `AnsweringEngine`."""
    import dspy

    return dspy.LM(f"local/{name}", engine=AnsweringEngine(answer), cache=False, num_retries=0)
