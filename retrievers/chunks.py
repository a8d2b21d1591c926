"""Splits articles into chunks of a given number of tokens of the embedder's own tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from clinspan.corpora import InputError
from clinspan.retrievers.knowledge import Article


@dataclass(frozen=True, slots=True)
class Chunk:
    """Characters `start` to `end` (half-open) of an article: `article.text[start:end] == text`."""

    article: str
    number: int
    start: int
    end: int
    text: str


class Passage(str):
    """The text of a retrieved chunk, with its id: its article, a colon and its number."""

    id: str

    @classmethod
    def of(cls, text: str, id: str) -> Self:
        passage = cls(text)
        passage.id = id
        return passage


def cut(articles: Sequence[Article], tokenizer: Any, *, size: int, overlap: int) -> Iterator[Chunk]:
    """Chunks of at most `size` tokens. All but the first of an article repeat the last `overlap` tokens of the previous one.

    Raises:
        InputError: The overlap is not smaller than the size.
    """
    if not 0 <= overlap < size:
        raise InputError(f"a chunk overlap of {overlap} does not fit a chunk size of {size}", remedy="Lower retriever.overlap.")
    for article in articles:
        encoding = tokenizer(article.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = encoding["offset_mapping"]
        for number, first in enumerate(range(0, max(1, len(offsets) - overlap), size - overlap)):
            window = offsets[first : first + size]
            if window:
                start, end = window[0][0], window[-1][1]
                yield Chunk(article.name, number, start, end, article.text[start:end])
