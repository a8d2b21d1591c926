"""How near texts of a pool are to a query: by embeddings, by shared words (TF-IDF, BM25), or by both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import regex
from numpy.typing import NDArray

from clinspan.retrievers.embedders import Embedder
from clinspan.retrievers.vectors import pool_vectors

By = Literal["dense", "tfidf", "bm25", "hybrid"]
LEXICAL = ("tfidf", "bm25")
"""The rankings that need no embedder."""
Scores = NDArray[np.float32]
_WORD = regex.compile(r"[\p{L}\p{N}]+")
FUSION = 60
"""The constant of reciprocal rank fusion."""


class Ranking(Protocol):
    """A pool of texts that queries are compared with."""

    def nearness(self, texts: Sequence[str]) -> Scores:
        """A number for each query and each text of the pool, of shape (queries, pool); larger is nearer, and none is negative
        where no word is shared."""
        ...

    def alike(self, rows: Sequence[int]) -> Scores:
        """The cosines between texts of the pool, of shape (rows, rows)."""
        ...


def words(text: str) -> list[str]:
    """The words and numbers of a text in lower case.

    >>> words("Vitamin B12 <200 pg/mL; Sjögren's")
    ['vitamin', 'b12', '200', 'pg', 'ml', 'sjögren', 's']
    """
    found: list[str] = _WORD.findall(text.casefold())
    return found


class Dense:
    """Cosines of the embeddings."""

    def __init__(self, pool: Sequence[str], embedder: Embedder, cache: Path | None) -> None:
        self._embedder, self._vectors = embedder, pool_vectors(pool, embedder, cache)

    def nearness(self, texts: Sequence[str]) -> Scores:
        return np.asarray(self._embedder.passages(texts) @ self._vectors.T, dtype=np.float32)

    def alike(self, rows: Sequence[int]) -> Scores:
        vectors = self._vectors[list(rows)]
        return np.asarray(vectors @ vectors.T, dtype=np.float32)


class TfIdf:
    """Cosines of TF-IDF vectors of words, with logarithmic term frequencies, by scikit-learn."""

    def __init__(self, pool: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizer = TfidfVectorizer(analyzer=words, sublinear_tf=True)
        try:
            self._vectors = self._vectorizer.fit_transform(pool)
        except ValueError:  # no text of the pool has a word
            self._vectors = None
        self._size = len(pool)

    def nearness(self, texts: Sequence[str]) -> Scores:
        if self._vectors is None:
            return np.zeros((len(texts), self._size), dtype=np.float32)
        return np.asarray((self._vectorizer.transform(texts) @ self._vectors.T).toarray(), dtype=np.float32)

    def alike(self, rows: Sequence[int]) -> Scores:
        if self._vectors is None:
            return np.zeros((len(rows), len(rows)), dtype=np.float32)
        vectors = self._vectors[list(rows)]
        return np.asarray((vectors @ vectors.T).toarray(), dtype=np.float32)


class Bm25:
    """BM25 of words as Lucene computes it, by bm25s. Texts of the pool are compared with each other by TF-IDF."""

    def __init__(self, pool: Sequence[str]) -> None:
        import bm25s

        self._cosines, self._size = TfIdf(pool), len(pool)
        tokens = [words(text) for text in pool]
        self._index = bm25s.BM25(method="lucene") if any(tokens) else None
        if self._index is not None:
            self._index.index(tokens, show_progress=False)

    def nearness(self, texts: Sequence[str]) -> Scores:
        found = np.zeros((len(texts), self._size), dtype=np.float32)
        for row, text in enumerate(texts):
            if self._index is not None and (query := words(text)):
                found[row] = self._index.get_scores(query)
        return found

    def alike(self, rows: Sequence[int]) -> Scores:
        return self._cosines.alike(rows)


class Hybrid:
    """Reciprocal rank fusion of embeddings and BM25 (Cormack et al. 2009, with their constant 60)."""

    def __init__(self, pool: Sequence[str], embedder: Embedder, cache: Path | None) -> None:
        self._dense, self._lexical = Dense(pool, embedder, cache), Bm25(pool)

    def nearness(self, texts: Sequence[str]) -> Scores:
        return fused(self._dense.nearness(texts), self._lexical.nearness(texts))

    def alike(self, rows: Sequence[int]) -> Scores:
        return self._dense.alike(rows)


def fused(*scores: Scores) -> Scores:
    """The sum of reciprocal ranks of several rankings, each of shape (queries, pool). Equal scores share the better rank.

    >>> int(fused(np.array([[3.0, 2.0, 1.0]], dtype=np.float32), np.array([[0.0, 5.0, 1.0]], dtype=np.float32)).argmax())
    1
    """
    total = np.zeros(scores[0].shape, dtype=np.float32)
    for one in scores:
        for row, values in enumerate(one):
            ascending = np.sort(values)
            total[row] += 1 / (FUSION + 1 + len(values) - np.searchsorted(ascending, values, side="right"))
    return total


def build_ranking(by: By, pool: Sequence[str], embedder: Embedder | None, cache: Path | None) -> Ranking:
    """The ranking of a pool.

    Args:
        by: What makes texts near.
        pool: The texts.
        embedder: The loaded embedder; None for the lexical ones, which need none.
        cache: Folder for the pool's vectors; None: no cache on disk.
    """
    if by in LEXICAL:
        return TfIdf(pool) if by == "tfidf" else Bm25(pool)
    assert embedder is not None, by
    return Hybrid(pool, embedder, cache) if by == "hybrid" else Dense(pool, embedder, cache)


def diverse(nearness: Scores, alike: Scores, k: int, diversity: float) -> list[int]:
    """The positions of `k` candidates by maximal marginal relevance (Carbonell and Goldstein 1998), best first.

    Args:
        nearness: Nearness of the candidates to the query, of shape (candidates,).
        alike: Cosines between the candidates, of shape (candidates, candidates).
        k: How many to choose.
        diversity: Weight of being unlike those already chosen, from 0 (nearness alone) to 1.

    >>> alike = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32)
    >>> diverse(np.array([0.9, 0.8, 0.5], dtype=np.float32), alike, 2, 0.5)
    [0, 2]
    """
    scaled = nearness / max(float(nearness.max(initial=0.0)), 1e-9)
    chosen: list[int] = []
    left = list(range(len(nearness)))
    while left and len(chosen) < k:
        gain = {at: (1 - diversity) * scaled[at] - diversity * max((alike[at][one] for one in chosen), default=0.0) for at in left}
        best = max(left, key=lambda at: (gain[at], -at))
        chosen.append(best)
        left.remove(best)
    return chosen
