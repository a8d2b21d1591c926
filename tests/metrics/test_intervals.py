"""Intervals and p-values against oracles: scipy's bootstrap, coverage over simulated corpora, p-values under exchange."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from clinspan.metrics import Counts
from clinspan.metrics.bootstrap import document_bootstrap
from clinspan.metrics.calibration import calibration
from clinspan.metrics.paired import compare_systems

LABELS = ["Sign", "Disease"]
CORPORA = 300
Rows = NDArray[np.int64]


def simulated(rng: np.random.Generator, documents: int, quality: tuple[float, float]) -> Rows:
    """Matched, predicted and gold mentions, shape (documents, labels, 3), of documents that differ in length and difficulty."""
    gold = 1 + rng.poisson([[6.0, 3.0]] * documents)
    hardness = rng.beta(8, 2, size=(documents, 1))
    matched = rng.binomial(gold, hardness * np.array(quality))
    return np.stack([matched, matched + rng.poisson(gold * 0.25), gold], axis=-1)


def counts(rows: Rows) -> list[dict[str, Counts]]:
    return [{label: Counts(*map(int, row[i])) for i, label in enumerate(LABELS)} for row in rows]


def micro(rows: Rows) -> float:
    matched, pred, gold = rows.sum(axis=(0, 1))
    return float(2 * matched / (pred + gold))


@pytest.fixture(scope="module")
def truth() -> float:
    """The micro F1 of a corpus without end."""
    return micro(simulated(np.random.default_rng(99), 200_000, (0.8, 0.6)))


def test_intervals_are_those_of_scipys_bootstrap() -> None:
    rows = simulated(np.random.default_rng(1), 60, (0.8, 0.6))
    ours = document_bootstrap(counts(rows), LABELS, samples=20_000, seed=1)["micro"]
    oracle = stats.bootstrap(
        (np.arange(len(rows)),),
        lambda drawn: micro(rows[drawn]),
        n_resamples=20_000,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(2),
    ).confidence_interval
    width = oracle.high - oracle.low
    assert ours == pytest.approx((oracle.low, oracle.high), abs=0.04 * width)
    assert ours[1] - ours[0] == pytest.approx(width, rel=0.04)


def test_paired_intervals_are_those_of_scipys_bootstrap() -> None:
    rng = np.random.default_rng(3)
    a, b = simulated(rng, 60, (0.7, 0.5)), simulated(rng, 60, (0.8, 0.6))
    ours = compare_systems(counts(a), counts(b), LABELS, samples=20_000, seed=1)["micro"].interval
    oracle = stats.bootstrap(
        (np.arange(60),),
        lambda drawn: micro(b[drawn]) - micro(a[drawn]),
        n_resamples=20_000,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(2),
    ).confidence_interval
    width = oracle.high - oracle.low
    assert ours == pytest.approx((oracle.low, oracle.high), abs=0.04 * width)


def test_a_higher_level_is_a_wider_interval() -> None:
    documents = counts(simulated(np.random.default_rng(4), 60, (0.8, 0.6)))
    widths = []
    for level in (0.5, 0.9, 0.95, 0.99):
        low, high = document_bootstrap(documents, LABELS, samples=5000, seed=1, level=level)["micro"]
        widths.append(high - low)
    normal = [stats.norm.ppf(0.5 + level / 2) for level in (0.5, 0.9, 0.95, 0.99)]
    assert [width / widths[2] for width in widths] == pytest.approx([z / normal[2] for z in normal], rel=0.08)


def test_intervals_cover_the_truth_as_often_as_they_say(truth: float) -> None:
    """95 % intervals of 300 simulated corpora of 60 documents cover between 92 and 97 % of the time."""
    rng = np.random.default_rng(5)
    covered = 0
    for number in range(CORPORA):
        low, high = document_bootstrap(counts(simulated(rng, 60, (0.8, 0.6))), LABELS, samples=1000, seed=number)["micro"]
        covered += low <= truth <= high
    assert 0.92 <= covered / CORPORA <= 0.97


@pytest.fixture(scope="module")
def exchanged() -> list[tuple[float, tuple[float, float]]]:
    """p-value and interval of the difference of two equally good systems, over simulated corpora of 40 documents."""

    def pairs() -> Iterator[tuple[float, tuple[float, float]]]:
        rng = np.random.default_rng(6)
        for number in range(CORPORA):
            a, b = simulated(rng, 40, (0.8, 0.6)), simulated(rng, 40, (0.8, 0.6))
            difference = compare_systems(counts(a), counts(b), LABELS, samples=999, seed=number)["micro"]
            yield difference.p_value, difference.interval

    return list(pairs())


def test_p_values_are_uniform_where_systems_are_equally_good(exchanged: list[tuple[float, tuple[float, float]]]) -> None:
    p_values = [p for p, _ in exchanged]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert min(p_values) >= 1 / 1000


def test_paired_intervals_cover_0_where_systems_are_equally_good(exchanged: list[tuple[float, tuple[float, float]]]) -> None:
    assert 0.92 <= np.mean([low <= 0 <= high for _, (low, high) in exchanged]) <= 0.97


def test_no_p_value_is_0() -> None:
    worst, best = [{"Sign": Counts(0, 9, 9)}] * 40, [{"Sign": Counts(9, 9, 9)}] * 40
    assert compare_systems(worst, best, ["Sign"], samples=99, seed=0)["micro"].p_value == 1 / 100


@pytest.mark.parametrize("documents", [1, 2])
def test_few_documents_have_intervals_of_numbers(documents: int) -> None:
    empty = [{label: Counts(0, 0, 0) for label in LABELS} for _ in range(documents)]
    assert set(document_bootstrap(empty, LABELS, samples=10, seed=0).values()) == {(0.0, 0.0)}
    rows = counts(simulated(np.random.default_rng(7), documents, (0.8, 0.6)))
    for low, high in document_bootstrap(rows, LABELS, samples=100, seed=0).values():
        assert 0 <= low <= high <= 1 and (documents > 1 or low == high)


def test_the_calibration_error_weighs_bins_by_their_size() -> None:
    """Nine of ten entities are in a bin that is off by .05, one is in a bin that is off by .85."""
    judged = [(0.95, True)] * 9 + [(0.15, True)]
    result = calibration(judged)
    assert result is not None and result["ece"] == pytest.approx(0.9 * 0.05 + 0.1 * 0.85)
