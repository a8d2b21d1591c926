"""What formats have in common: questions, decoded answers, tokens as prompts show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clinspan.corpora import FullMention, InputError
from clinspan.corpora.words import Words

_AROUND = "Context of the sentence in its document, which is not to be tagged (answer about the sentence alone):"
Place = tuple[str, int, int]
"""A question's key, and characters of its answer, half-open."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An answer as tags, one a token, always legal BIO.

    Attributes:
        tags: The tags.
        repairs: Counts of what the answer had wrong.
        places: Where each tag comes from, one a token: question and characters of its answer, half-open; None for a
            tag that no particular piece of an answer decides.
        confidence: The probability of each tag, where the answer itself says it; None: it follows from `places`.
        missing: Mentions of the answer that the sentence does not have, as the model wrote them.
        mentions: All mentions of the answer with all their pieces, each with its place in the answer; None: only tags are read.
    """

    tags: list[str]
    repairs: Counter[str] = field(default_factory=Counter)
    places: list[Place | None] = field(default_factory=list)
    confidence: list[float | None] | None = None
    missing: list[str] = field(default_factory=list)
    mentions: list[tuple[FullMention, Place | None]] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One request about a sentence: its key among the sentence's requests, and the turns that end in it."""

    key: str
    turns: tuple[tuple[str, str], ...]


def tags_tokens(signature: Any) -> bool:
    """Whether a signature has sentences tagged, with no field that a format has no place for.

    Raises:
        InputError: It has such fields.
    """
    given, asked = set(signature.input_fields), set(signature.output_fields)
    if "tokens" not in given or "tags" not in asked:
        return False
    if beyond := sorted((given - {"context", "tokens", "note"}) | (asked - {"tags"})):
        problem = f"a format writes prompts from context and tokens and reads tags, and has no place for {', '.join(beyond)}"
        raise InputError(problem, remedy="Use TagTokens as it is, or dspy.ChatAdapter() for a signature with further fields.")
    return True


def in_context(sentence: str, chunks: Sequence[str], note: str) -> str:
    """A sentence behind retrieved chunks and behind what the note says around it, if there is any of them.

    >>> print(in_context("It itches .", (), "Before: A rash."))
    Context of the sentence in its document, which is not to be tagged (answer about the sentence alone):
    Before: A rash.
    <BLANKLINE>
    Sentence to tag:
    It itches .
    """
    parts = ["Context that may help; do not tag it:\n" + "\n\n".join(chunks)] if chunks else []
    parts += [f"{_AROUND}\n{note}"] if note else []
    return "\n\n".join([*parts, f"Sentence to tag:\n{sentence}"]) if parts else sentence


def around(inputs: Mapping[str, Any]) -> tuple[Sequence[str], str]:
    """The retrieved chunks among the inputs of a signature, and what the document says around the sentence."""
    return inputs.get("context") or (), inputs.get("note") or ""


def shown_tokens(tokens: Sequence[str], joined: Iterable[int] = ()) -> Words:
    """Tokens as they stand in prompts and answers: on one line, and never empty."""
    given = Words.as_given(tokens, joined)
    return Words((" ".join(token.split()) or "_" for token in given), given.joined)
