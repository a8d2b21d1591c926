"""Names of failures of single sentences, and failures that end a run because every sentence would fail."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import ClassVar

from dspy.utils.exceptions import (
    LMAuthError,
    LMBillingError,
    LMConfigurationError,
    LMError,
    LMProviderError,
    LMUnexpectedError,
    LMUnsupportedModelError,
)

from clinspan.lms import BatchError, DeferredError, GrammarError, ModelError, NoAnswerError
from clinspan.lms.local.oom import is_out_of_memory
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.tagging.tagger import is_overflow

_FATAL = (LMAuthError, LMBillingError, LMConfigurationError, LMUnsupportedModelError)
_MISTAKES = (TypeError, AttributeError, KeyError, IndexError, NameError, AssertionError)

LASTING = ("content_filter", "prompt_too_long", "worker_lost")
"""Failures of a sentence that a retry would repeat. They do not predict a failure of the next sentence."""


def failure_name(error: Exception) -> str:
    """A short name for the failure of one sentence, without text of prompts or answers.

    Raises:
        RunError: Every sentence would fail in the same way: a wrong key, a missing deployment, an unknown model.
        Exception: The error itself, if it is a programming error and not a failure of a model.
    """
    if is_overflow(error):
        return "prompt_too_long"
    for cause in _causes(error):
        if isinstance(cause, (BatchError, NoAnswerError)):
            return cause.kind
        if isinstance(cause, GrammarError):
            return "grammar"
        if is_out_of_memory(cause):
            return "out_of_memory"
        if isinstance(cause, ModelError):
            raise RunError(str(cause)) from None
        if isinstance(cause, _MISTAKES):
            if _is_unreadable_reply(cause):
                return "unreadable_reply"
            raise error
    if isinstance(error, LMUnexpectedError) and any(_is_unreadable_reply(cause) for cause in _causes(error)):
        return "unreadable_reply"
    if not isinstance(error, LMError):
        raise error
    status = getattr(error, "status", None)
    message = f"{getattr(error, 'message', '')} {getattr(error, 'provider_code', '')}".lower()
    if "content_filter" in message or "content management policy" in message:
        return "content_filter"
    if isinstance(error, _FATAL) or status in (401, 403, 404):
        raise RunError(_fatal_message(error, status)) from None
    if isinstance(error, LMUnexpectedError):
        LastUnexpected.error = error
    return f"{type(error).__name__}{f' {status}' if status else ''}"


class LastUnexpected:
    """The last error that a model's own code raised, such as that of a user's class.

    Attributes:
        error: The error; None: there was none.
    """

    error: ClassVar[LMUnexpectedError | None] = None

    @classmethod
    def cause(cls, failure: str) -> LMUnexpectedError | None:
        """The error, if a failure of that name is about such errors."""
        return cls.error if failure.startswith(LMUnexpectedError.__name__) else None


def _is_unreadable_reply(error: BaseException) -> bool:
    """Whether DSPy's client received JSON that is not a valid reply: wrong types, or null instead of a number."""
    places = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return bool(places) and "lm15" in Path(places[-1]).parts


def is_deferred(error: BaseException) -> bool:
    """Whether the answer is only deferred and comes with the next batch."""
    return any(isinstance(cause, DeferredError) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _fatal_message(error: LMError, status: object) -> str:
    if isinstance(error, LMAuthError) or status in (401, 403):
        return "the server refused the key: check AZURE_OPENAI_API_KEY (model=gpt35, gpt4) or OPENAI_API_KEY (model=openai)"
    if status == 404:
        return (
            "the model or deployment does not exist on the server or was retired: check model.deployment (Azure) or model.id "
            "(model=openai). Those of model=gpt35 and gpt4 are retired: deploy a current model and give model=azure "
            "model.deployment=NAME"
        )
    if isinstance(error, LMProviderError):  # its message is the server's and may quote the prompt
        return f"the model cannot be used: the server returned {type(error).__name__}{f' {status}' if status else ''}"
    first = str(getattr(error, "message", error)).strip().splitlines() or [type(error).__name__]
    return f"the model cannot be used: {first[0]}"
