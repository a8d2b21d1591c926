"""A language model wrapper that renames labels to the words that prompts use for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import dspy

from clinspan.lms import lm15


def renamer(called: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that renames labels in BIO tags, and nowhere else.

    >>> renamer({"Sign": "finding"})("tokens: ['Sign', 'B-12'], tags: ['B-Sign', 'I-Sign', 'B-Signal']")
    "tokens: ['Sign', 'B-12'], tags: ['B-finding', 'I-finding', 'B-Signal']"
    """
    names = "|".join(re.escape(name) for name in sorted(called, key=len, reverse=True))
    tag = re.compile(rf"(?<!\w)([BI])-({names})(?!\w)")
    return lambda text: tag.sub(lambda match: f"{match[1]}-{called[match[2]]}", text)


class RenamingLM:
    """An engine that renames labels in requests to another engine.

    DSPy's optimizers show examples and traces unchanged, with the label names of the corpus. A model that reads them would write
    instructions with label names that the program's prompts do not use.
    """

    def __init__(self, engine: Any, rename: Callable[[str], str]) -> None:
        self._engine, self._rename = engine, rename

    def complete(self, request: lm15.Request) -> lm15.Response:
        messages = tuple(replace(message, parts=self._parts(message.parts)) for message in request.messages)
        system = request.system
        renamed_system = self._rename(system) if isinstance(system, str) else system and self._parts(system)
        answer: lm15.Response = self._engine.complete(replace(request, messages=messages, system=renamed_system))
        return answer

    def _parts(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(replace(part, text=self._rename(part.text)) if isinstance(part, lm15.TextPart) else part for part in parts)


def worded(writer: dspy.LM, called: Mapping[str, str]) -> dspy.LM:
    """Return the writer with labels renamed as in prompts; the writer itself if prompts use the label names of the corpus.

    Args:
        writer: A model on an engine object, as `lms.build` gives it.
        called: Name in prompts of each label that has another name there.
    """
    return writer.copy(engine=RenamingLM(writer.engine, renamer(called))) if called else writer
