"""Paired comparison of two systems on the same documents: jackknife intervals, and randomization tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clinspan.metrics.counts import Counts
from clinspan.metrics.intervals import (
    Array,
    count_table,
    enough_documents,
    figures,
    figures_without_each,
    Interval,
    jackknife_error,
    LEAST_DOCUMENTS,
    t_quantile,
)

EXACT = 14
"""The most documents with different answers for which all swaps are enumerated."""
_CELLS = 1 << 22  # numbers in memory at once, over the swaps of a batch
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """Second system minus first, in F1. There is no interval and no p-value if the documents are too few.

    Attributes:
        difference: The observed difference.
        interval: 95 % interval by the jackknife over documents; None if there is none.
        p_value: Two-sided, by randomization: how often swapping the systems' answers in some documents gives a difference
            at least as large. All swaps are tried if `EXACT` documents or fewer have different answers, else random ones.
        p_holm: The same after Holm's correction over the types; None for averages.
        p_least: The smallest p-value that is possible with these documents and this number of swaps.
    """

    difference: float
    interval: Interval | None = None
    p_value: float | None = None
    p_holm: float | None = None
    p_least: float | None = None

    def as_dict(self) -> dict[str, object]:
        """The difference as a record of `comparison.json`."""
        interval = None if self.interval is None else list(self.interval)
        record: dict[str, object] = {"difference": self.difference, "interval": interval}
        record |= {"p_value": self.p_value, "p_least": self.p_least}
        return record if self.p_holm is None else {**record, "p_holm": self.p_holm}


def compare_systems(
    first: Sequence[Mapping[str, Counts]],
    second: Sequence[Mapping[str, Counts]],
    labels: Sequence[str],
    *,
    samples: int,
    seed: int,
) -> dict[str, Difference]:
    """Differences for each label, `macro` and `micro` (Noreen 1989 for the p-values).

    Args:
        first: Counts by label, one mapping per document.
        second: The same documents in the same order.
        labels: The labels; `macro` is the mean over those with gold.
        samples: Number of random swaps, where not all are tried.
        seed: Random seed; the same seed gives the same figures.

    Raises:
        ValueError: The systems have different numbers of documents, or none.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} documents cannot be paired")
    a, b = count_table(first, labels), count_table(second, labels)
    names = [*labels, "macro", "micro"]
    observed = figures(b.sum(axis=0)) - figures(a.sum(axis=0))
    if len(a) < LEAST_DOCUMENTS:
        return {name: Difference(float(value)) for name, value in zip(names, observed, strict=True)}
    low, high = difference_bounds(a, b)
    p_values, least = swap_test(a, b, samples, seed)
    usable = enough_documents(a + b)
    tested = [i for i in range(len(labels)) if usable[i]]
    adjusted = dict(zip(tested, holm([float(p_values[i]) for i in tested]), strict=True))
    intervals = [None if np.isnan(low[i]) else (float(low[i]), float(high[i])) for i in range(len(names))]
    return {
        name: Difference(float(observed[i]), intervals[i], float(p_values[i]), adjusted.get(i), float(least[i]))
        if usable[i]
        else Difference(float(observed[i]))
        for i, name in enumerate(names)
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for multiple tests (Holm 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted: dict[int, float] = {}
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return [adjusted[i] for i in range(len(p_values))]


def difference_bounds(a: Array, b: Array) -> tuple[Array, Array]:
    """Lower and upper 95 % bounds, within -1 and 1, of the figures of `b` minus those of `a`, each (documents, labels, 3).

    They are nan where the systems differ, but documents show no spread.
    """
    observed = figures(b.sum(axis=0)) - figures(a.sum(axis=0))
    error = jackknife_error(figures_without_each(b) - figures_without_each(a))
    margin = t_quantile(len(a), 0.95) * error
    margin = np.where((error <= _ROUNDING) & (np.abs(observed) > _ROUNDING), np.nan, margin)
    return np.clip(observed - margin, -1, 1), np.clip(observed + margin, -1, 1)


def swap_test(a: Array, b: Array, samples: int, seed: int) -> tuple[Array, Array]:
    """Two-sided p-values of the differences of all figures, and the smallest possible ones; see `Difference`.

    Documents with equal counts are left out, as swapping them changes nothing.
    """
    observed = figures(b.sum(axis=0)) - figures(a.sum(axis=0))
    change = b - a
    differing = change.any(axis=(1, 2))
    change = change[differing]
    exact = len(change) <= EXACT
    extreme, number = np.zeros(len(observed)), 0
    for swaps in _all_swaps(change) if exact else _random_swaps(change, samples, np.random.default_rng(seed)):
        moved = np.tensordot(swaps, change, axes=1)
        shuffled = figures(b.sum(axis=0) - moved) - figures(a.sum(axis=0) + moved)
        extreme += (np.abs(shuffled) >= np.abs(observed) - _ROUNDING).sum(axis=0)
        number += len(swaps)
    least = np.minimum(1.0, 2.0 ** (1 - _differing_documents(change)))
    if exact:
        return extreme / number, least
    return (extreme + 1) / (number + 1), np.maximum(least, 1 / (number + 1))


def _differing_documents(change: Array) -> Array:
    """In how many documents the systems differ, by label, in any label (macro), and in the counts of all labels together."""
    by_label = change.any(axis=2)
    return np.concatenate([by_label.sum(axis=0), [len(change), change.sum(axis=1).any(axis=1).sum()]]).astype(np.float64)


def _all_swaps(change: Array) -> Iterator[Array]:
    """Every subset of the documents, as rows of zeros and ones, in batches."""
    bits = np.arange(len(change))
    for numbers in np.array_split(np.arange(2 ** len(change)), _batches(2 ** len(change), change)):
        yield ((numbers[:, None] >> bits) & 1).astype(np.float64)


def _random_swaps(change: Array, samples: int, rng: np.random.Generator) -> Iterator[Array]:
    for part in np.array_split(np.arange(samples), _batches(samples, change)):
        yield rng.integers(0, 2, size=(len(part), len(change))).astype(np.float64)


def _batches(rows: int, change: Array) -> int:
    """The number of batches whose tables of counts and of swaps fit into memory."""
    return -(-rows // max(1, _CELLS // max(1, len(change), change[:1].size)))
