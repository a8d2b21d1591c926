"""The sentence that is being read: its answers, their probabilities, and the demonstrations that the model saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from clinspan.corpora import FullMention
from clinspan.corpora.bio import has_letter
from clinspan.corpora.tokens import clinical_tokens
from clinspan.programs.formats.matching import MentionFinder
from clinspan.programs.formats.responses import confidence_of, Piece, probability
from clinspan.programs.formats.types import Decoded, Place, shown_tokens

COPIED, COPIED_NOTE, NOT_FOUND = "copied_from_demonstration", "copied_from_context", "mention_not_found"


@dataclass(frozen=True, slots=True)
class Answered:
    """A sentence and what was answered about it.

    Attributes:
        tokens: The sentence.
        answers: The answers by question key.
        pieces: The pieces of these answers that were chosen among several.
        demonstrations: The demonstrations of the prompt.
        note: What the prompt says around the sentence.
    """

    tokens: Sequence[str]
    answers: Mapping[str, str]
    pieces: Mapping[str, Sequence[Piece]]
    demonstrations: Sequence[Mapping[str, Any]] = field(default=())
    note: str = ""

    def name_copies(self, decoded: Decoded) -> None:
        """Count mentions that the sentence lacks, but its context or a demonstration has, under names of their own."""
        if not decoded.missing:
            return
        around = MentionFinder([token.text for token in clinical_tokens(self.note)])
        finders = [MentionFinder(shown_tokens(demo["tokens"], demo.get("joined") or ())) for demo in self.demonstrations]
        for mention in decoded.missing:
            if self.note and around.places(mention, Counter()):
                name = COPIED_NOTE
            elif any(finder.places(mention, Counter()) for finder in finders):
                name = COPIED
            else:
                continue
            decoded.repairs[name] += 1
            decoded.repairs[NOT_FOUND] = max(0, decoded.repairs[NOT_FOUND] - 1)


_current: ContextVar[Answered | None] = ContextVar("clinspan_answered", default=None)


@contextmanager
def reading(answered: Answered) -> Iterator[None]:
    """Make a sentence the one that this thread reads."""
    before = _current.set(answered)
    try:
        yield
    finally:
        _current.reset(before)


def being_read() -> Answered | None:
    """The sentence that this thread reads; None outside `reading`."""
    return _current.get()


def probability_of(place: Place | None) -> float | None:
    """The probability of a place in the answers of the sentence that this thread reads; None if it is not known."""
    current = _current.get()
    pieces = current.pieces.get(place[0]) if current is not None and place is not None else None
    return probability(place, pieces) if place is not None and pieces else None


def mention_fields(
    mentions: Sequence[tuple[FullMention, Place | None]], answered: Answered, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The mentions of an answer as predictions have them, each with its probability; those of marks alone are left out.

    Args:
        mentions: The mentions with their places in the answer.
        answered: The sentence.
        names: The corpus' names of labels that are called otherwise in answers.
    """
    kept = [(mention, place) for mention, place in mentions if _has_letter(mention, answered.tokens)]
    confidence = confidence_of([place for _, place in kept], answered.pieces) or [None] * len(kept)
    renamed = [FullMention(names.get(mention.label, mention.label), mention.fragments) for mention, _ in kept]
    return [{**mention.record(), "confidence": value} for mention, value in zip(renamed, confidence, strict=True)]


def _has_letter(mention: FullMention, tokens: Sequence[str]) -> bool:
    return has_letter(word for start, end in mention.fragments for word in tokens[start:end])
