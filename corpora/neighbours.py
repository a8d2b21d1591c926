"""The text around a sentence: words of the sentences before and after it in its document. Tags are never among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clinspan.corpora.types import Corpus, Sentence


def with_neighbours(sentences: Sequence[Sentence], most: int) -> list[Sentence]:
    """The sentences of one document, given in order, with at most `most` words before and after each.

    >>> from clinspan.corpora.types import Token
    >>> one, two = (Sentence(word, "d", (Token(word, 0, 2),), ("O",)) for word in ("no", "rash"))
    >>> [(s.before, s.after) for s in with_neighbours([one, two], 5)]
    [((), ('rash',)), (('no',), ())]
    """
    if not most:
        return list(sentences)
    words = [word for sentence in sentences for word in sentence.words]
    done, start = [], 0
    for sentence in sentences:
        end = start + len(sentence.tokens)
        before, after = tuple(words[max(0, start - most) : start]), tuple(words[end : end + most])
        done.append(replace(sentence, before=before, after=after))
        start = end
    return done


def in_documents(chosen: Sequence[Sentence], corpus: Corpus, split: str, most: int) -> list[Sentence]:
    """The chosen sentences of a split with the words around them, of sentences that were not chosen too."""
    of_documents = (with_neighbours(document.sentences, most) for document in corpus.splits.get(split, ()))
    by_id = {sentence.id: sentence for sentences in of_documents for sentence in sentences}
    return [by_id[sentence.id] for sentence in chosen]


def lack_neighbours(sentences: Sequence[Sentence]) -> bool:
    """Whether no sentence has text around it."""
    return not any(sentence.before or sentence.after for sentence in sentences)
