"""The one program: a sentence in, one tag a token out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dspy
from dspy.utils.exceptions import ContextWindowExceededError

from lms import PromptTooLongError
from programs.signature import build_signature
from programs.strategy import Overflow

Lookup = Callable[[str], Sequence[Any]]


class Tagger(dspy.Module):
    """Tags a sentence. The format is the adapter that DSPy is configured with.

    Args:
        instructions: What the model is told; optimizers may rewrite it.
        demonstrations: Fixed demonstrations (`tokens` and `tags`); optimizers may replace them.
        nearest: Gives the demonstrations of a sentence's text, nearest last.
        retrieve: Gives the chunks of a sentence's text, best first.
        overflow: What to do with a prompt that does not fit: `error` or `drop`.
    """

    def __init__(
        self,
        instructions: str,
        *,
        demonstrations: Sequence[dict[str, Any]] = (),
        nearest: Lookup | None = None,
        retrieve: Lookup | None = None,
        overflow: Overflow = "error",
    ) -> None:
        super().__init__()
        self.tag = dspy.Predict(build_signature(instructions))
        self.tag.demos = list(demonstrations)
        self.nearest, self.retrieve, self.overflow = nearest, retrieve, overflow

    def surroundings(self, tokens: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
        """The demonstrations and the chunks that go with a sentence."""
        text = " ".join(tokens)
        demos = list(self.nearest(text)) if self.nearest else list(self.tag.demos)
        return demos, list(self.retrieve(text)) if self.retrieve else []

    def forward(self, tokens: Sequence[str], id: str = "") -> dspy.Prediction:
        """Tag one sentence.

        Returns:
            `tags`, `confidence` (the probability of each tag as far as it is known, or None), `repairs` (counts by
            name), `answers` (raw texts by question) and `usage`.

        Raises:
            PromptTooLongError: The prompt does not fit, and nothing is left to drop or dropping is not allowed.
        """
        demos, context = self.surroundings(tokens)
        dropped = 0
        while True:
            try:
                found = self.tag(tokens=list(tokens), context=context, demos=demos[dropped:], config={"sentence_id": id})
            except Exception as error:
                if not is_overflow(error):
                    raise
                if self.overflow == "error" or dropped == len(demos):
                    raise
                dropped += 1
                continue
            if dropped:
                found.repairs = {**found.repairs, "demonstration_dropped": dropped}
            return found


def is_overflow(error: BaseException | None) -> bool:
    """Whether an error is, or was caused by, a prompt that is too long."""
    while error is not None:
        if isinstance(error, (PromptTooLongError, ContextWindowExceededError)):
            return True
        error = error.__cause__ or error.__context__
    return False
