"""Nearest-neighbour search of training sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clinspan.corpora import Sentence
from clinspan.retrievers.embedders import Embedder
from clinspan.retrievers.rankings import build_ranking, By, diverse

_CANDIDATES = 4


class NearestSentences:
    """Finds the `k` nearest sentences of a pool.

    Args:
        pool: The sentences to choose from.
        embedder: Embeds them and the queries; None for the lexical rankings.
        k: Number of sentences to find.
        cache: Folder for the pool's vectors, see `pool_vectors`; None: no cache on disk.
        by: What makes sentences near, see `retrievers.rankings`.
        diversity: Weight of being unlike the sentences already chosen, among the `4 k` nearest ones; 0: nearness alone.
    """

    def __init__(
        self,
        pool: Sequence[Sentence],
        embedder: Embedder | None,
        *,
        k: int,
        cache: Path | None,
        by: By = "dense",
        diversity: float = 0.0,
    ) -> None:
        self.pool, self.k, self.diversity = list(pool), k, diversity
        self._ranking = build_ranking(by, [sentence.text for sentence in self.pool], embedder, cache)

    def find(self, texts: Sequence[str]) -> list[list[Sentence]]:
        """The nearest pool sentences of each text, the nearest last; in a tie the earlier sentence of the pool is nearer.

        A pool sentence with the same id or text as the query is not excluded, because pools and queries come from
        different splits.
        """
        nearness = self._ranking.nearness(texts)
        most = self.k * _CANDIDATES if self.diversity else self.k
        order = np.argsort(-nearness, axis=1, kind="stable")[:, :most]
        return [[self.pool[at] for at in reversed(self._chosen(row, order[n]))] for n, row in enumerate(nearness)]

    def _chosen(self, nearness: np.ndarray, candidates: np.ndarray) -> list[int]:
        rows = [int(at) for at in candidates]
        if not self.diversity:
            return rows
        return [rows[at] for at in diverse(nearness[rows], self._ranking.alike(rows), self.k, self.diversity)]
