"""Confidence intervals by bootstrap over documents, since sentences of one document are not independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clinspan.metrics.counts import Counts

Interval = tuple[float, float]
_CELLS = 4_000_000  # numbers in memory at once, over all resamples of a batch


def document_bootstrap(
    documents: Sequence[Mapping[str, Counts]],
    labels: Sequence[str],
    *,
    samples: int,
    seed: int,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Percentile intervals of F1 for each label, `macro` and `micro` (Efron and Tibshirani 1993, chapter 13).

    Args:
        documents: Counts by label, one mapping a document.
        labels: The labels, in the order of the result.
        samples: Number of resamples.
        seed: Seed of the resampling: the same seed gives the same intervals.
        level: Coverage, 0.95 for 95 %.

    Returns:
        `(low, high)` by name, never `(nan, nan)`: one document gives an interval of width 0.
    """
    if not documents:
        return {}
    table = np.array([[[d[k].matched, d[k].pred, d[k].gold] for k in labels] for d in documents], dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows = np.empty((samples, len(labels) + 2))
    batch_size = max(1, _CELLS // max(1, table[0].size))
    for start in range(0, samples, batch_size):
        part = slice(start, min(start + batch_size, samples))
        drawn = [rng.integers(0, len(documents), len(documents)) for _ in range(start, part.stop)]
        times = np.stack([np.bincount(draw, minlength=len(documents)) for draw in drawn]).astype(np.float64)
        total = (times @ table.reshape(len(documents), -1)).reshape(len(drawn), len(labels), 3)  # whole numbers: exact
        rows[part, :-2] = f1_scores(total)
        rows[part, -2] = rows[part, :-2].mean(axis=1) if labels else 0.0
        rows[part, -1] = f1_scores(total.sum(axis=1))
    tail = (1 - level) / 2
    low, high = np.quantile(rows, [tail, 1 - tail], axis=0)
    names = [*labels, "macro", "micro"]
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def f1_scores(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 from matched, predicted and gold counts in the last dimension; 0 where both predicted and gold are 0."""
    matched, pred, gold = counts[..., 0], counts[..., 1], counts[..., 2]
    both = pred + gold
    return np.divide(2 * matched, both, out=np.zeros_like(both), where=both > 0)
