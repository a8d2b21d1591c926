"""Chunks of a knowledge base that are found by their words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clinspan.retrievers.chunks import Chunk, Passage
from clinspan.retrievers.rankings import build_ranking, By, FUSION


class LexicalChunks:
    """Finds chunks by TF-IDF or BM25, in memory.

    Args:
        chunks: The chunks.
        by: `tfidf` or `bm25`.
    """

    def __init__(self, chunks: Sequence[Chunk], by: By) -> None:
        self._passages = [Passage.of(chunk.text, f"{chunk.article}:{chunk.number}") for chunk in chunks]
        self._ranking = build_ranking(by, [chunk.text for chunk in chunks], None, None)

    def query(self, texts: Sequence[str], top_k: int) -> list[list[Passage]]:
        """The `top_k` nearest chunks of each text, nearest first; in a tie the earlier chunk."""
        order = np.argsort(-self._ranking.nearness(texts), axis=1, kind="stable")[:, :top_k]
        return [[self._passages[int(at)] for at in row] for row in order]


def fuse(rankings: Sequence[Sequence[Passage]]) -> list[Passage]:
    """The passages of several rankings by the sum of their reciprocal ranks, best first."""
    total: dict[str, float] = {}
    known: dict[str, Passage] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking, 1):
            total[passage.id] = total.get(passage.id, 0.0) + 1 / (FUSION + rank)
            known.setdefault(passage.id, passage)
    return [known[key] for key in sorted(total, key=lambda key: -total[key])]
