"""Nearest-neighbour search of training sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clinspan.corpora import Sentence
from clinspan.retrievers.embedders import Embedder, Vectors


class NearestSentences:
    """Finds the `k` nearest sentences of a pool by cosine similarity.

    Args:
        pool: The sentences to choose from.
        embedder: Embeds them and the queries.
        k: Number of sentences to find.
        cache: Folder for the pool's vectors, named by a hash of texts and embedder; None: no cache on disk.
    """

    def __init__(self, pool: Sequence[Sentence], embedder: Embedder, *, k: int, cache: Path | None) -> None:
        self.pool, self.embedder, self.k = list(pool), embedder, k
        self._texts = [sentence.text for sentence in self.pool]
        self._vectors = self._load(cache)

    def find(self, texts: Sequence[str]) -> list[list[Sentence]]:
        """The nearest pool sentences of each text, the nearest last; in a tie the earlier sentence of the pool is nearer.

        A pool sentence with the same id or text as the query is not excluded, because pools and queries come from
        different splits.
        """
        nearness = self.embedder.passages(texts) @ self._vectors.T
        order = np.argsort(-nearness, axis=1, kind="stable")[:, : self.k]
        return [[self.pool[int(i)] for i in reversed(row)] for row in order]

    def _load(self, cache: Path | None) -> Vectors:
        if cache is None:
            return self.embedder.passages(self._texts)
        key = hashlib.sha256("\0".join([self.embedder.id, *self._texts]).encode()).hexdigest()[:24]
        path = cache / f"{key}.npy"
        try:
            vectors: Vectors = np.load(path, allow_pickle=False)
            if vectors.ndim == 2 and len(vectors) == len(self.pool):
                return vectors
        except (OSError, ValueError, EOFError):
            pass  # missing or truncated: it is computed again
        vectors = self.embedder.passages(self._texts, progress=len(self._texts) > 1000)
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = path.with_suffix(".part.npy")
        np.save(scratch, vectors)
        scratch.replace(path)
        return vectors
