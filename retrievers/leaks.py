"""Leak detection: test sentences that occur in the knowledge base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clinspan.corpora import Sentence
from clinspan.corpora.tokens import punctuation_tokens
from clinspan.retrievers.chunks import Chunk
from clinspan.retrievers.knowledge import Article

SHORTEST = 6


@dataclass(frozen=True, slots=True)
class Leak:
    """A sentence found in an article, at characters `start` to `end`."""

    sentence: str
    article: str
    start: int
    end: int


def find_leaks(sentences: Iterable[Sentence], articles: Sequence[Article]) -> list[Leak]:
    """Sentences of at least six tokens that occur in an article as consecutive tokens, ignoring case and white space."""
    by_start: dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for sentence in sentences:
        words = tuple(token.text.casefold() for token in punctuation_tokens(" ".join(sentence.words)))
        if len(words) >= SHORTEST:
            by_start[words[:SHORTEST]].append((sentence.id, words))
    leaks = []
    for article in articles:
        tokens = punctuation_tokens(article.text)
        words = tuple(token.text.casefold() for token in tokens)
        for i in range(len(words) - SHORTEST + 1):
            for name, wanted in by_start.get(words[i : i + SHORTEST], ()):
                if words[i : i + len(wanted)] == wanted:
                    leaks.append(Leak(name, article.name, tokens[i].start, tokens[i + len(wanted) - 1].end))
    return leaks


def without_leaks(chunks: Iterable[Chunk], leaks: Sequence[Leak]) -> list[Chunk]:
    """The chunks that share no character with a leaked sentence."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for leak in leaks:
        spans[leak.article].append((leak.start, leak.end))
    return [c for c in chunks if not any(start < c.end and end > c.start for start, end in spans.get(c.article, ()))]
