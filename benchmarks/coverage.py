"""How often 95 % intervals of F1 contain the true F1, by simulation: `python -m benchmarks.coverage [corpora=1000] [seed=0]`.

Documents are drawn with gold counts, recall and numbers of invented mentions that vary between documents, as in raremini and
ncbi-disease. The truth is the F1 of 200,000 documents. The table shows the lowest and the highest coverage over the settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from clinspan.metrics.intervals import bounds, f1_scores, figures
from clinspan.metrics.paired import difference_bounds, swap_test

Array = NDArray[np.float64]
Bounds = tuple[Array, Array]
Weights = NDArray[np.float64]
SIZES = (10, 15, 20, 30, 60)
RESAMPLES = 1000
_TRUTH = 200_000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Setting:
    """A corpus and a system: by type the mean of gold mentions a document, recall, and invented mentions for each gold one.

    `spread` is the squared coefficient of variation of document lengths beyond chance; a low `even` is much variation of recall.
    """

    gold: tuple[float, ...]
    recall: tuple[float, ...]
    invented: tuple[float, ...]
    spread: float
    even: float


_RAREMINI = (2.3, 5.1, 0.7, 5.7, 0.55)
SETTINGS = {
    "raremini, good system": Setting(_RAREMINI, (0.7, 0.8, 0.5, 0.6, 0.35), (0.3, 0.2, 0.4, 0.4, 0.6), 0.05, 12),
    "raremini, weak system": Setting(_RAREMINI, (0.25, 0.5, 0.1, 0.2, 0.1), (0.5, 0.5, 0.6, 1.0, 0.8), 0.05, 6),
    "ncbi-disease": Setting((9.6,), (0.82,), (0.2,), 0.25, 8),
    "long notes": Setting((12, 8, 4, 3), (0.8, 0.6, 0.5, 0.7), (0.3, 0.3, 0.3, 0.3), 0.6, 6),
}


class Documents:
    """Documents of a setting, and the answers of systems to them."""

    def __init__(self, rng: np.random.Generator, setting: Setting, shape: tuple[int, ...]) -> None:
        self.rng, self.setting = rng, setting
        length = rng.gamma(1 / setting.spread, setting.spread, size=(*shape, 1))
        self.gold = rng.poisson(length * np.array(setting.gold))
        self.ease = rng.beta(setting.even, setting.even / 4, size=(*shape, 1)) / 0.8

    def answers(self, gain: float = 0.0) -> Array:
        """Matched, predicted and gold, shape (..., documents, types, 3), of a system whose recall is higher by `gain`."""
        own = self.rng.beta(20, 2.2, size=self.gold.shape) * 22.2 / 20
        matched = self.rng.binomial(self.gold, np.clip(self.ease * own * (np.array(self.setting.recall) + gain), 0, 1))
        rate = np.array(self.setting.invented) * (0.7 * np.array(self.setting.gold) + 0.3 * self.gold)
        invented = self.rng.poisson(self.rng.gamma(1.0, 1.0, size=self.gold.shape) * rate)
        return np.stack([matched, matched + invented, self.gold], axis=-1).astype(np.float64)


def resamples(rng: np.random.Generator, documents: int) -> Weights:
    """How often each document is in each resample."""
    return rng.multinomial(documents, [1 / documents] * documents, size=RESAMPLES).astype(np.float64)


def resampled(table: Array, weights: Weights) -> Array:
    """The figures of each resample."""
    return figures(np.tensordot(weights, table, axes=1))


def percentile(estimates: Array) -> Bounds:
    """The percentile bootstrap."""
    low, high = np.quantile(estimates, _TAILS, axis=0)
    return low, high


def bca(estimates: Array, observed: Array, left_out: Array) -> Bounds:
    """The bias-corrected and accelerated bootstrap (Efron 1987); `left_out`: figures with each document left out."""
    below = ((estimates < observed).sum(axis=0) + (estimates == observed).sum(axis=0) / 2) / len(estimates)
    bias = stats.norm.ppf(np.clip(below, 1 / (len(estimates) + 1), len(estimates) / (len(estimates) + 1)))
    change = left_out.mean(axis=0) - left_out
    size = 6 * (change**2).sum(axis=0) ** 1.5
    skew = np.divide((change**3).sum(axis=0), size, out=np.zeros_like(size), where=size > 0)
    z = bias + stats.norm.ppf(_TAILS)[:, None]
    shares = stats.norm.cdf(bias + z / (1 - skew * z))
    ends = [[np.quantile(estimates[:, i], share) for i, share in enumerate(row)] for row in shares]
    return np.array(ends[0]), np.array(ends[1])


def linear_errors(table: Array, totals: Array, weights: Weights) -> Array:
    """Standard errors by linearization of each resample; `totals` are its sums of counts, shape (resamples, types, 3)."""
    both = table[..., 1] + table[..., 2]
    sums = totals[..., 1] + totals[..., 2]
    per_type = np.divide(
        2 * table[None, ..., 0] - f1_scores(totals)[:, None] * both[None],
        sums[:, None],
        out=np.zeros((len(totals), *both.shape)),
        where=sums[:, None] > 0,
    )
    has_gold = totals[..., 2] > 0
    macro = (per_type * has_gold[:, None]).sum(axis=-1) / np.maximum(has_gold.sum(axis=-1), 1)[:, None]
    micro_f1, all_sums = f1_scores(totals.sum(axis=1)), np.maximum(sums.sum(axis=1), 1)
    micro = (2 * table[..., 0].sum(axis=1) - micro_f1[:, None] * both.sum(axis=1)) / all_sums[:, None]
    influence = np.concatenate([per_type, macro[..., None], micro[..., None]], axis=-1)
    n = len(table)
    errors: Array = np.sqrt(np.einsum("sd,sdk->sk", weights, influence**2) * n / (n - 1))
    return errors


def bootstrap_t(table: Array, estimates: Array, weights: Weights) -> Bounds:
    """The studentized bootstrap."""
    observed = figures(table.sum(axis=0))
    error = linear_errors(table, table.sum(axis=0, keepdims=True), np.ones((1, len(table))))[0]
    errors = linear_errors(table, np.tensordot(weights, table, axes=1), weights)
    t = np.divide(estimates - observed, errors, out=np.zeros_like(errors), where=errors > 0)
    low, high = np.quantile(t, _TAILS, axis=0)
    return observed - high * error, observed - low * error


def without_each(table: Array) -> Array:
    return figures(table.sum(axis=0) - table)


def jackknife(observed: Array, left_out: Array) -> Bounds:
    """The delete-one jackknife with quantiles of t, without a logit."""
    n = len(left_out)
    error = np.sqrt(((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0) * (n - 1) / n)
    margin = stats.t.ppf(_TAILS[1], n - 1) * error
    return observed - margin, observed + margin


def of_one_system(table: Array, weights: Weights) -> dict[str, Bounds]:
    """Bounds by each method, of the F1 of one system."""
    estimates, observed, left_out = resampled(table, weights), figures(table.sum(axis=0)), without_each(table)
    return {
        "percentile bootstrap": percentile(estimates),
        "BCa bootstrap": bca(estimates, observed, left_out),
        "bootstrap-t": bootstrap_t(table, estimates, weights),
        "jackknife, t": jackknife(observed, left_out),
        "jackknife, t, logit (used)": bounds(table),
    }


def of_a_difference(a: Array, b: Array, weights: Weights) -> dict[str, Bounds]:
    """Bounds by each method, of the difference of two systems."""
    estimates, left_out = resampled(b, weights) - resampled(a, weights), without_each(b) - without_each(a)
    observed = figures(b.sum(axis=0)) - figures(a.sum(axis=0))
    return {
        "percentile bootstrap": percentile(estimates),
        "BCa bootstrap": bca(estimates, observed, left_out),
        "jackknife, t (used)": difference_bounds(a, b),
    }


Row = tuple[str, str, int, Array]
"""Method, setting, documents, and a share for macro and micro."""


def covered(found: list[dict[str, Bounds]], truth: Array) -> dict[str, Array]:
    """The share of corpora in which each method contains the truth, for macro and micro; without those that have no bounds."""
    shares = {}
    for method in found[0]:
        low, high = np.array([bounds_by[method] for bounds_by in found])[:, :, -2:].transpose(1, 0, 2)
        right = np.where(np.isnan(low), np.nan, (low <= truth[-2:]) & (truth[-2:] <= high))
        shares[method] = np.nanmean(right, axis=0)
    return shares


def coverage_of_one(corpora: int, seed: int) -> list[Row]:
    rows: list[Row] = []
    for name, setting in SETTINGS.items():
        rng = np.random.default_rng(seed)
        truth = figures(Documents(rng, setting, (_TRUTH,)).answers().sum(axis=0))
        for size in SIZES:
            tables = Documents(rng, setting, (corpora, size)).answers()
            found = [of_one_system(table, resamples(rng, size)) for table in tables]
            rows += [(method, name, size, share) for method, share in covered(found, truth).items()]
    return rows


def coverage_of_differences(corpora: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Coverage of true differences of 0 and of a recall higher by .06; and how often p and interval disagree at 5 %."""
    rows: list[Row] = []
    disagreeing: list[Row] = []
    for name, setting in SETTINGS.items():
        for gain in (0.0, 0.06):
            rng = np.random.default_rng(seed)
            many = Documents(rng, setting, (_TRUTH,))
            means = [figures(many.answers(more).sum(axis=0)) for more in (0.0, gain)]
            truth = means[1] - means[0] if gain else np.zeros_like(means[0])
            for size in SIZES:
                documents = Documents(rng, setting, (corpora, size))
                pairs = list(zip(documents.answers(), documents.answers(gain), strict=True))
                found = [of_a_difference(a, b, resamples(rng, size)) for a, b in pairs]
                rows += [(method, name, size, share) for method, share in covered(found, truth).items()]
                p_values = np.array([swap_test(a, b, RESAMPLES, number)[0][-2:] for number, (a, b) in enumerate(pairs)])
                for method in found[0]:
                    low, high = np.array([bounds_by[method] for bounds_by in found])[:, :, -2:].transpose(1, 0, 2)
                    apart = (p_values < 0.05) != ((low > 0) | (high < 0))
                    disagreeing.append((method, name, size, apart.mean(axis=0)))
    return rows, disagreeing


def shown(rows: list[Row], title: str) -> str:
    """A Markdown table: method by number of documents, the lowest and highest coverage of micro and macro F1 over the settings."""
    cell: Callable[[Array], str] = lambda found: f"{100 * found.min():.1f} - {100 * found.max():.1f}"  # noqa: E731
    lines = [f"| {title} | " + " | ".join(f"n={size}" for size in SIZES) + " |", "|---" * (len(SIZES) + 1) + "|"]
    for method in dict.fromkeys(row[0] for row in rows):
        for place, average in ((1, "micro"), (0, "macro")):
            cells = [cell(np.array([r[3][place] for r in rows if r[0] == method and r[2] == size])) for size in SIZES]
            lines.append(f"| {method}, {average} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(corpora: int = 1000, seed: int = 0) -> None:
    """Print the tables."""
    print(shown(coverage_of_one(corpora, seed), "F1, % covered"), flush=True)
    rows, disagreeing = coverage_of_differences(corpora, seed)
    print("\n" + shown(rows, "difference, % covered"))
    print("\n" + shown(disagreeing, "p < .05 and the interval disagree, %"))


if __name__ == "__main__":
    main(**{key: int(value) for key, _, value in (word.partition("=") for word in sys.argv[1:])})
