"""The text of a model's response, and the probabilities of its pieces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from clinspan.lms import lm15, NoAnswerError

Piece = tuple[int, int, float]
"""Characters of an answer, half-open, and the logarithm of their probability."""


def answer_text(response: lm15.Response) -> str:
    """What a model answered, without its thoughts and whatever else stands beside the text.

    Raises:
        NoAnswerError: It answered nothing: no choice, a refusal, thoughts alone, or it was cut before the answer began.
    """
    parts = response.message.parts
    text = "".join(part.text for part in parts if isinstance(part, lm15.TextPart))
    if text.strip() or response.finish_reason == "content_filter":
        return text
    if any(isinstance(part, lm15.RefusalPart) for part in parts):
        raise NoAnswerError("refusal")
    if response.finish_reason == "length":
        raise NoAnswerError("cut_before_answer")
    raise NoAnswerError("thoughts_alone" if any(isinstance(part, lm15.ThinkingPart) for part in parts) else "no_answer")


def chosen_pieces(logprobs: Sequence[lm15.TokenLogprob] | None) -> list[Piece]:
    """Pieces of an answer that were chosen among several: characters, half-open, and the logarithm of the probability."""
    found: list[Piece] = []
    at = 0
    for piece in logprobs or ():
        found.append((at, at + len(piece.token), piece.logprob))
        at += len(piece.token)
    return found


def confidence_of(
    places: Sequence[tuple[str, int, int] | None], pieces: Mapping[str, Sequence[Piece]]
) -> list[float | None] | None:
    """The probability of each tag: of all choices that touch its place; None where no choice is known, or without places."""
    if not places or not any(pieces.values()):
        return None
    return [None if place is None else probability(place, pieces.get(place[0], ())) for place in places]


def probability(place: tuple[str, int, int], pieces: Sequence[Piece]) -> float:
    """The probability of a place in an answer: of all pieces that touch it."""
    _, start, end = place
    return math.exp(min(0.0, sum(logprob for a, b, logprob in pieces if a < end and b > start)))
