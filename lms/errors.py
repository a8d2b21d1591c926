"""Errors of language models that a user can fix."""

from __future__ import annotations


class ModelError(RuntimeError):
    """A model that is not available or cannot be used as configured; the message says what to do."""


class UnavailableError(ModelError):
    """A model that is configured correctly but not available here: no weights, no endpoint, no key.

    The message says how to get it. It holds names and addresses that the user gave, never text of prompts or answers.
    """


class PromptTooLongError(ValueError):
    """A prompt that leaves no room for its answer.

    Args:
        prompt: Tokens of the prompt.
        answer: Tokens that the longest answer may take.
        context: Tokens that the model can hold.
    """

    def __init__(self, *, prompt: int, answer: int, context: int) -> None:
        self.prompt, self.answer, self.context = prompt, answer, context
        super().__init__(
            f"the prompt has {prompt} tokens and its answer may take {answer}, but the model holds {context}: "
            "use fewer demonstrations or chunks, or strategy.overflow=drop"
        )


class GrammarError(ValueError):
    """A grammar that the engine cannot use for this request. The message says why, and quotes no text of the grammar."""


class DeferredError(Exception):
    """A request whose answer is not available yet: it waits for a batch.

    Args:
        new: Whether the request was not known before.
    """

    def __init__(self, *, new: bool = True) -> None:
        self.new = new
        super().__init__()


class BatchError(RuntimeError):
    """A request that its finished batch holds no answer to.

    Args:
        kind: A short name of the cause, without any text of the request.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(kind)


class NoAnswerError(RuntimeError):
    """A reply without an answer in it.

    Args:
        kind: A short name of the cause, without any text: `no_answer`, `refusal`, `thoughts_alone`, `cut_before_answer`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(kind)
