"""Paired comparison of two systems on the same documents: bootstrap intervals and approximate randomization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinspan.metrics.bootstrap import f1_scores
from clinspan.metrics.counts import Counts

Array = NDArray[np.float64]
_CELLS = 1 << 22  # documents times samples in memory at once


@dataclass(frozen=True, slots=True)
class Difference:
    """Second system minus first, in F1.

    Attributes:
        difference: The observed difference.
        interval: 95 % interval by paired bootstrap over documents.
        p_value: Two-sided, by approximate randomisation: how often swapping the systems' answers in random
            documents gives a difference at least as large.
        p_holm: The same after Holm's correction over the types; None for averages.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    p_holm: float | None = None

    def as_dict(self) -> dict[str, object]:
        """The difference as a record of `comparison.json`."""
        record = {"difference": self.difference, "interval": list(self.interval), "p_value": self.p_value}
        return record if self.p_holm is None else {**record, "p_holm": self.p_holm}


def compare_systems(
    first: Sequence[Mapping[str, Counts]],
    second: Sequence[Mapping[str, Counts]],
    labels: Sequence[str],
    *,
    samples: int,
    seed: int,
) -> dict[str, Difference]:
    """Differences for each label, `macro` and `micro` (Koehn 2004 for the intervals, Noreen 1989 for the p-values).

    Args:
        first: Counts by label, one mapping per document.
        second: The same documents in the same order.
        labels: The labels; `macro` is their plain mean.
        samples: Number of resamples, and also of random swaps.
        seed: Random seed; the same seed gives the same figures.

    Raises:
        ValueError: The systems have different numbers of documents, or none.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} documents cannot be paired")
    a, b = _table(first, labels), _table(second, labels)
    rng = np.random.default_rng(seed)
    observed = _scores(b.sum(axis=0)) - _scores(a.sum(axis=0))
    spread = np.concatenate([_resampled(a, b, rng, size) for size in _parts(samples, len(a))])
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    shuffled = np.concatenate([_swapped(a, b, rng, size) for size in _parts(samples, len(a))])
    extreme = (np.abs(shuffled) >= np.abs(observed) - 1e-12).sum(axis=0)
    p_values = (extreme + 1) / (samples + 1)
    adjusted = holm([float(p) for p in p_values[: len(labels)]])
    names = [*labels, "macro", "micro"]
    return {
        name: Difference(
            float(observed[i]), (float(low[i]), float(high[i])), float(p_values[i]), adjusted[i] if i < len(labels) else None
        )
        for i, name in enumerate(names)
    }


def _parts(samples: int, documents: int) -> list[int]:
    """Sizes of batches that add up to `samples`; the table of draws of each batch is small."""
    size = max(1, _CELLS // documents)
    return [min(size, samples - start) for start in range(0, samples, size)]


def _resampled(a: Array, b: Array, rng: np.random.Generator, samples: int) -> Array:
    """F1 differences between the systems on bootstrap samples of documents, one row per sample."""
    drawn = rng.multinomial(len(a), [1 / len(a)] * len(a), size=samples).astype(np.float64)
    return _scores(np.einsum("sd,dlc->slc", drawn, b)) - _scores(np.einsum("sd,dlc->slc", drawn, a))


def _swapped(a: Array, b: Array, rng: np.random.Generator, samples: int) -> Array:
    """F1 differences between the systems after their answers to random documents were swapped, one row per sample."""
    change = np.einsum("sd,dlc->slc", rng.integers(0, 2, size=(samples, len(a))).astype(np.float64), b - a)
    return _scores(b.sum(axis=0) - change) - _scores(a.sum(axis=0) + change)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for multiple tests (Holm 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def _table(documents: Sequence[Mapping[str, Counts]], labels: Sequence[str]) -> Array:
    """Matched, predicted and gold by document and label."""
    return np.array([[[d[k].matched, d[k].pred, d[k].gold] for k in labels] for d in documents], dtype=np.float64)


def _scores(totals: Array) -> Array:
    """F1 of each label, macro and micro, from totals of shape (..., labels, 3)."""
    per_type = f1_scores(totals)
    macro, micro = per_type.mean(axis=-1), f1_scores(totals.sum(axis=-2))
    return np.concatenate([per_type, macro[..., None], micro[..., None]], axis=-1)
