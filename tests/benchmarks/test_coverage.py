"""The simulation of coverage: its tables, and its methods against scipy's bootstrap and the project's own intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks import coverage
from clinspan.metrics.intervals import figures


@pytest.fixture
def table() -> np.ndarray:
    setting = coverage.SETTINGS["raremini, good system"]
    return coverage.Documents(np.random.default_rng(1), setting, (40,)).answers()


def test_bootstraps_are_those_of_scipy(table: np.ndarray) -> None:
    weights = coverage.resamples(np.random.default_rng(2), len(table))
    found = coverage.of_one_system(table, weights)
    for name, method in (("percentile bootstrap", "percentile"), ("BCa bootstrap", "BCa")):
        oracle = stats.bootstrap(
            (np.arange(len(table)),),
            lambda drawn: float(figures(table[drawn].sum(axis=0))[-1]),
            n_resamples=4000,
            method=method,
            vectorized=False,
            rng=np.random.default_rng(3),
        ).confidence_interval
        low, high = found[name]
        assert (low[-1], high[-1]) == pytest.approx((oracle.low, oracle.high), abs=0.12 * (oracle.high - oracle.low))
    low, high = found["bootstrap-t"]
    assert low[-1] < figures(table.sum(axis=0))[-1] < high[-1]


def test_linearized_errors_are_near_to_those_of_the_jackknife(table: np.ndarray) -> None:
    observed, left_out = figures(table.sum(axis=0)), coverage.without_each(table)
    _, high = coverage.jackknife(observed, left_out)
    jackknife = (high - observed) / stats.t.ppf(0.975, len(table) - 1)
    linear = coverage.linear_errors(table, table.sum(axis=0, keepdims=True), np.ones((1, len(table))))[0]
    assert linear[-1] == pytest.approx(jackknife[-1], rel=0.05)
    assert linear[-2] == pytest.approx(jackknife[-2], rel=0.2)


def test_the_command_prints_three_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(coverage, "_TRUTH", 2000)
    monkeypatch.setattr(coverage, "RESAMPLES", 50)
    monkeypatch.setattr(coverage, "SIZES", (12, 15))
    coverage.main(corpora=4)
    out = capsys.readouterr().out
    assert out.count("|---|---|---|") == 3
    assert "| jackknife, t, logit (used), micro |" in out and "| p < .05 and the interval disagree, % | n=12 | n=15 |" in out
