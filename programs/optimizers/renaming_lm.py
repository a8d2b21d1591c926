"""A language model wrapper that renames labels to the words that prompts use for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import dspy
from dspy import lm15


def renamer(called: Mapping[str, str]) -> Callable[[str], str]:
    """Renames labels where they stand in BIO tags, and nowhere else.

    >>> renamer({"Sign": "finding"})("tokens: ['Sign', 'B-12'], tags: ['B-Sign', 'I-Sign', 'B-Signal']")
    "tokens: ['Sign', 'B-12'], tags: ['B-finding', 'I-finding', 'B-Signal']"
    """
    names = "|".join(re.escape(name) for name in sorted(called, key=len, reverse=True))
    tag = re.compile(rf"(?<!\w)([BI])-({names})(?!\w)")
    return lambda text: tag.sub(lambda found: f"{found[1]}-{called[found[2]]}", text)


class RenamingLM:
    """An engine that renames labels in what is asked of another.

    DSPy's optimizers show examples and traces as they are, and these have the corpus' names: a model that reads them
    would write instructions about labels which the program's prompts call otherwise.
    """

    def __init__(self, engine: Any, rename: Callable[[str], str]) -> None:
        self._engine, self._rename = engine, rename

    def complete(self, request: lm15.Request) -> lm15.Response:
        messages = tuple(replace(message, parts=self._parts(message.parts)) for message in request.messages)
        system = request.system
        worded = self._rename(system) if isinstance(system, str) else system and self._parts(system)
        answer: lm15.Response = self._engine.complete(replace(request, messages=messages, system=worded))
        return answer

    def _parts(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(replace(part, text=self._rename(part.text)) if isinstance(part, lm15.TextPart) else part for part in parts)


def worded(writer: dspy.LM, called: Mapping[str, str]) -> dspy.LM:
    """The writer as optimizers ask it; itself where prompts call labels as the corpus does.

    Args:
        writer: A model on an engine object, as `lms.build` gives it.
        called: The word for each label that has another one in prompts.
    """
    return writer.copy(engine=RenamingLM(writer.engine, renamer(called))) if called else writer
