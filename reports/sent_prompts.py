"""What was sent in a run about each sentence, and how two runs differ in it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clinspan.corpora.printable import plural

SAME = "The prompts are the same."
UNKNOWN = "What was sent is not recorded for both runs."


@dataclass(frozen=True, slots=True)
class Part:
    """A turn, or a chunk if it has no role. Numbers in its text stand for other parts."""

    role: str | None
    text: str | Sequence[str | int]


@dataclass(frozen=True, slots=True)
class SentPrompts:
    """What was sent in a run.

    Attributes:
        parts: Turns and chunks, by number.
        asked: By sentence id, one attempt for each tagger that asked: a dictionary with the ids of its `demonstrations` and
            `chunks`, and its `questions`, each with the key `question`, the hash `sha` of its prompt, and its `turns` as numbers
            of parts.
        rendered: Whole prompts by sentence id, as the model's template writes them.
    """

    parts: list[Part] = field(default_factory=list)
    asked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rendered: dict[str, str] = field(default_factory=dict)

    def text(self, number: int) -> str:
        """The text of a part."""
        text = self.parts[number].text
        return text if isinstance(text, str) else "".join(piece if isinstance(piece, str) else self.text(piece) for piece in text)

    def turns(self, id: str) -> list[tuple[str, str]]:
        """All turns that were sent about a sentence, with role and text; the questions one after the other."""
        numbers = [number for question in self._questions(id) for number in question["turns"]]
        return [(self.parts[number].role or "", self.text(number)) for number in numbers]

    def digests(self, id: str) -> tuple[str, ...]:
        """The hashes of the prompts about a sentence. Sentences with equal hashes got equal prompts."""
        return tuple(question["sha"] for question in self._questions(id))

    def names(self, id: str, kind: str) -> list[Any]:
        """The ids of the `demonstrations` or `chunks` in the prompts about a sentence."""
        return [name for attempt in self.asked.get(id, ()) for name in attempt.get(kind, ())]

    def _questions(self, id: str) -> list[Mapping[str, Any]]:
        return [question for attempt in self.asked.get(id, ()) for question in attempt["questions"]]


def prompt_differences(first: SentPrompts, second: SentPrompts, ids: Sequence[str]) -> list[str]:
    """Say how the prompts of sentences differ, without naming an order of the two runs; nothing if they are the same.

    Args:
        first: What was sent in a run.
        second: What was sent in another run.
        ids: The sentences of both runs.
    """
    shared = [id for id in ids if id in first.asked and id in second.asked]
    lacking = len(ids) - len(shared)
    parts = [f"Of {_share(lacking, len(ids))} what was sent is not recorded for both runs."] if lacking else []
    differing = [id for id in shared if first.digests(id) != second.digests(id)]
    if not differing:
        return parts

    def other(read: Callable[[SentPrompts, str], Any]) -> list[str]:
        return [id for id in differing if read(first, id) != read(second, id)]

    explained: set[str] = set()
    reasons = (
        (_system, "The instructions, or the rules of the format, differ for"),
        (lambda run, id: run.names(id, "demonstrations"), "Other demonstrations for"),
        (lambda run, id: run.names(id, "chunks"), "Other chunks for"),
    )
    for read, words in reasons:
        if found := other(read):
            parts.append(f"{words} {_share(len(found), len(shared))}.")
            explained |= set(found)
    rest = [id for id in differing if id not in explained]
    written = [id for id in rest if first.turns(id) != second.turns(id)]
    if written:
        parts.append(f"Demonstrations or questions are written in another way for {_share(len(written), len(shared))}.")
    if len(rest) > len(written):
        here = [bool(run.rendered) for run in (first, second)]
        cause = "The model's template writes other text" if all(here) else "Only one run's model is here and shows its template"
        parts.append(f"{cause}: {_share(len(rest) - len(written), len(shared))}.")
    return parts


def prompts_compared(first: SentPrompts | None, second: SentPrompts | None, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """How what was sent in two runs differs.

    Args:
        first: What was sent in a run; None if that is not recorded.
        second: What was sent in another run.
        ids: The sentences of both runs.

    Returns:
        Sentences that say how, or that the prompts are the same; and a unified diff of the prompts about the first sentence for
        which they differ.
    """
    if first is None or second is None:
        return [UNKNOWN], []
    summary = prompt_differences(first, second, ids) or [SAME]
    example = next((id for id in ids if id in first.asked and id in second.asked and first.digests(id) != second.digests(id)), None)
    if example is None:
        return summary, []
    one, other = _lines(first, example), _lines(second, example)
    if one == other and example in first.rendered and example in second.rendered:
        one, other = first.rendered[example].splitlines(), second.rendered[example].splitlines()
    diff = list(difflib.unified_diff(one, other, lineterm="", n=1))[2:]  # without the two header lines, which name files
    return summary, [f"Sentence {example}:", *diff]


def _system(run: SentPrompts, id: str) -> list[str]:
    return [text for role, text in run.turns(id) if role == "system"]


def _lines(run: SentPrompts, id: str) -> list[str]:
    return [line for role, text in run.turns(id) for line in (f"[{role}]", *text.splitlines())]


def _share(n: int, of: int) -> str:
    """
    >>> _share(3, 40)
    '3 of 40 sentences (8 %)'
    """
    return f"{n} of {of} {plural(of, 'sentence')} ({n / of:.0%})".replace("%)", " %)")
