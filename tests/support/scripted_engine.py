"""An engine that answers by a function instead of a model, for tests of what is around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dspy

from clinspan.lms import lm15


class ScriptedEngine:
    """Answers by a function of the request's last text; no model."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer, self.requests = answer, list[lm15.Request]()

    def complete(self, request: lm15.Request) -> lm15.Response:
        self.requests.append(request)
        asked = "".join(part.text for part in request.messages[-1].parts if isinstance(part, lm15.TextPart))
        message = lm15.Message.assistant(self.answer(asked))
        return lm15.Response(id=None, model=request.model, message=message, finish_reason="stop", usage=lm15.Usage())

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing is open."""


def scripted(answer: Callable[[str], str]) -> dspy.LM:
    return dspy.LM("local/scripted", engine=ScriptedEngine(answer), cache=False, num_retries=0)
