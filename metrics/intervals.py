"""Confidence intervals of F1 by the jackknife over documents, since sentences of one document are not independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clinspan.metrics.counts import Counts

Interval = tuple[float, float]
Array = NDArray[np.float64]

LEAST_DOCUMENTS = 10
"""The fewest documents, of a corpus or with a type, from which an interval is computed. See `benchmarks/coverage.py`."""

_CELLS = 1 << 22  # numbers in memory at once, over the documents of a batch
_NO_SPREAD = 1e-12


def document_intervals(
    documents: Sequence[Mapping[str, Counts]], labels: Sequence[str], *, level: float = 0.95
) -> dict[str, Interval | None]:
    """Intervals of F1 for each label, `macro` and `micro`: delete-one jackknife on the logit scale, with quantiles of t.

    Args:
        documents: Counts by label, one mapping a document.
        labels: The labels, in the order of the result.
        level: Coverage, 0.95 for 95 %.

    Returns:
        `(low, high)` by name. None where there are fewer than `LEAST_DOCUMENTS` documents, where a label occurs in fewer of
        them, and where no spread can be seen, as with an F1 of 0 or 1.
    """
    names = [*labels, "macro", "micro"]
    if len(documents) < LEAST_DOCUMENTS:
        return dict.fromkeys(names)
    low, high = bounds(count_table(documents, labels), level)
    return {name: None if np.isnan(low[i]) else (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def bounds(table: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Lower and upper bounds of the `figures` of a table of shape (documents, labels, 3); nan where there is no interval."""
    scores = figures(table.sum(axis=0))
    inside = (scores > 0) & (scores < 1)
    middle = np.where(inside, scores, 0.5)
    margin = t_quantile(len(table), level) * jackknife_error(figures_without_each(table)) / (middle * (1 - middle))
    logits = np.log(middle / (1 - middle))
    usable = inside & (margin > _NO_SPREAD) & enough_documents(table)
    margin = np.where(usable, margin, np.nan)
    return 1 / (1 + np.exp(margin - logits)), 1 / (1 + np.exp(-margin - logits))


def count_table(documents: Sequence[Mapping[str, Counts]], labels: Sequence[str]) -> Array:
    """Matched, predicted and gold by document and label, shape (documents, labels, 3)."""
    rows = [[[d[k].matched, d[k].pred, d[k].gold] for k in labels] for d in documents]
    return np.array(rows, dtype=np.float64).reshape(len(documents), len(labels), 3)


def figures(totals: Array) -> Array:
    """F1 of each label, macro and micro, from totals of shape (..., labels, 3); macro is the mean over labels with gold."""
    per_type, has_gold = f1_scores(totals), totals[..., 2] > 0
    number = has_gold.sum(axis=-1)
    macro = np.divide((per_type * has_gold).sum(axis=-1), number, out=np.zeros(number.shape), where=number > 0)
    return np.concatenate([per_type, macro[..., None], f1_scores(totals.sum(axis=-2))[..., None]], axis=-1)


def figures_without_each(table: Array) -> Array:
    """The `figures` of all documents but one, one row for each document left out."""
    total, size = table.sum(axis=0), max(1, _CELLS // max(1, table[0].size))
    return np.concatenate([figures(total - table[start : start + size]) for start in range(0, len(table), size)])


def jackknife_error(left_out: Array) -> Array:
    """Standard errors from figures with each document left out, one row a document (Efron and Tibshirani 1993, chapter 11)."""
    n = len(left_out)
    error: Array = np.sqrt(((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0) * (n - 1) / n)
    return error


def t_quantile(documents: int, level: float) -> float:
    """The quantile of Student's t for an interval from so many documents.

    >>> round(t_quantile(10, 0.95), 3)
    2.262
    """
    from scipy.special import stdtrit  # imported on first use, as it takes time

    return float(stdtrit(documents - 1, (1 + level) / 2))


def enough_documents(table: Array) -> NDArray[np.bool_]:
    """Whether each label occurs, in gold or predictions, in `LEAST_DOCUMENTS` documents; for macro and micro, whether any does."""
    occurs = table[..., 1:].sum(axis=-1) > 0
    number = np.append(occurs.sum(axis=0), [occurs.any(axis=1).sum()] * 2)
    return np.asarray(number >= LEAST_DOCUMENTS)


def f1_scores(counts: Array) -> Array:
    """F1 from matched, predicted and gold counts in the last dimension; 0 where both predicted and gold are 0."""
    matched, pred, gold = counts[..., 0], counts[..., 1], counts[..., 2]
    both = pred + gold
    return np.divide(2 * matched, both, out=np.zeros_like(both), where=both > 0)
