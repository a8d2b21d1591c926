"""Intervals against the jackknife in plain Python, scipy's bootstrap, and coverage over simulated corpora."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from clinspan.metrics import add_counts, Counts, Scores
from clinspan.metrics.calibration import calibration
from clinspan.metrics.intervals import (
    bounds,
    count_table,
    document_intervals,
    enough_documents,
    f1_scores,
    figures,
    figures_without_each,
    LEAST_DOCUMENTS,
)

LABELS = ["Sign", "Disease", "Age"]
CORPORA = 300
Table = list[dict[str, Counts]]


def documents(number: int, seed: int) -> Table:
    """Counts of documents; no document has a gold Age, and few have a predicted one."""
    chance = random.Random(seed)

    def counts() -> Counts:
        pred, gold = 1 + chance.randrange(6), 1 + chance.randrange(6)
        return Counts(chance.randint(0, min(pred, gold)), pred, gold)

    return [{"Sign": counts(), "Disease": counts(), "Age": Counts(0, int(n == 3), 0)} for n in range(number)]


def plain_figures(tables: Sequence[dict[str, Counts]]) -> list[float]:
    """F1 by label, macro and micro."""
    scores = Scores(add_counts(tables, LABELS))
    return [*(scores.per_type[label]["f1"] for label in LABELS), scores.macro["f1"], scores.micro["f1"]]


@pytest.mark.parametrize(("number", "level"), [(10, 0.95), (25, 0.95), (25, 0.8)])
def test_intervals_are_those_of_the_jackknife_in_plain_python(number: int, level: float) -> None:
    tables = documents(number, 1)
    observed = plain_figures(tables)
    left_out = [plain_figures([*tables[:n], *tables[n + 1 :]]) for n in range(number)]
    found = document_intervals(tables, LABELS, level=level)
    assert list(found) == [*LABELS, "macro", "micro"]
    for i, (name, interval) in enumerate(found.items()):
        if name == "Age":
            assert interval is None
            continue
        values = [row[i] for row in left_out]
        mean = sum(values) / number
        error = math.sqrt(sum((value - mean) ** 2 for value in values) * (number - 1) / number)
        margin = stats.t.ppf(0.5 + level / 2, number - 1) * error / (observed[i] * (1 - observed[i]))
        logit = math.log(observed[i] / (1 - observed[i]))
        assert interval == pytest.approx((1 / (1 + math.exp(margin - logit)), 1 / (1 + math.exp(-margin - logit))))
    if level == 0.95:
        assert found == document_intervals(tables, LABELS)


def test_ten_documents_are_the_fewest() -> None:
    assert LEAST_DOCUMENTS == 10
    assert document_intervals(documents(10, 1), LABELS)["micro"] is not None
    few = document_intervals(documents(9, 1), LABELS)
    assert few == dict.fromkeys([*LABELS, "macro", "micro"]) == document_intervals([], LABELS)


def test_a_type_needs_ten_documents_of_its_own() -> None:
    tables = [{"Sign": Counts(n % 2, 1, 2), "Disease": Counts(0, int(n < 5), int(4 < n < 9))} for n in range(20)]
    assert enough_documents(count_table(tables, ["Sign", "Disease"])).tolist() == [True, False, True, True]
    ten = [{"Sign": Counts(n % 2, 1, 2), "Disease": Counts(0, int(n < 5), int(4 < n < 10))} for n in range(20)]
    assert enough_documents(count_table(ten, ["Sign", "Disease"])).tolist() == [True] * 4
    sparse = [{"Sign": Counts(n % 2, 1, 1) if n < 9 else Counts()} for n in range(20)]
    assert enough_documents(count_table(sparse, ["Sign"])).tolist() == [False] * 3
    assert set(document_intervals(sparse, ["Sign"]).values()) == {None}


def test_no_spread_is_no_interval() -> None:
    """F1 of 0 or 1, and documents that are all alike, say nothing about other documents."""
    for counts in (Counts(0, 2, 2), Counts(2, 2, 2), Counts(1, 2, 2)):
        assert document_intervals([{"Sign": counts}] * 12, ["Sign"]) == {"Sign": None, "macro": None, "micro": None}
    assert document_intervals([{}] * 12, []) == {"macro": None, "micro": None}


def test_macro_leaves_out_labels_without_gold() -> None:
    totals = np.array([[1.0, 2.0, 2.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    assert figures(totals).tolist() == pytest.approx([0.5, 0.0, 0.0, 0.25, 0.25])
    assert figures(np.zeros((2, 3))).tolist() == [0.0] * 4
    assert figures(np.stack([totals, 2 * totals])).shape == (2, 5)


@pytest.mark.parametrize("cells", [1, 9, 9 * 7, 1 << 22])
def test_batches_change_no_figure_and_are_bounded(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = count_table(documents(20, 1), LABELS)
    whole, sizes = figures_without_each(table), []
    monkeypatch.setattr("clinspan.metrics.intervals._CELLS", cells)
    monkeypatch.setattr("clinspan.metrics.intervals.figures", lambda totals: sizes.append(len(totals)) or figures(totals))
    assert (figures_without_each(table) == whole).all()
    assert max(sizes) == min(20, max(1, cells // 9)) and sum(sizes) == 20


def test_f1_in_any_shape() -> None:
    counts = np.array([[[1.0, 2.0, 1.0], [0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [2.0, 2.0, 2.0]]])
    assert f1_scores(counts).tolist() == [[pytest.approx(2 / 3), 0.0], [0.0, 1.0]]
    assert f1_scores(np.array([0.0, 0.0, 3.0])) == 0


def simulated(rng: np.random.Generator, number: int, quality: tuple[float, float] = (0.8, 0.6)) -> NDArray[np.float64]:
    """Matched, predicted and gold mentions, shape (documents, labels, 3), of documents that differ in length and difficulty."""
    gold = 1 + rng.poisson([[6.0, 3.0]] * number)
    hardness = rng.beta(8, 2, size=(number, 1))
    matched = rng.binomial(gold, hardness * np.array(quality))
    return np.stack([matched, matched + rng.poisson(gold * 0.25), gold], axis=-1).astype(np.float64)


def test_many_documents_give_the_interval_of_scipys_bca_bootstrap() -> None:
    rows = simulated(np.random.default_rng(1), 150)
    oracle = stats.bootstrap(
        (np.arange(len(rows)),),
        lambda drawn: float(figures(rows[drawn].sum(axis=0))[-1]),
        n_resamples=10_000,
        method="BCa",
        vectorized=False,
        rng=np.random.default_rng(2),
    ).confidence_interval
    low, high = bounds(rows)
    width = oracle.high - oracle.low
    assert (low[-1], high[-1]) == pytest.approx((oracle.low, oracle.high), abs=0.06 * width)
    assert high[-1] - low[-1] == pytest.approx(width, rel=0.06)


def test_a_higher_level_and_fewer_documents_widen_the_interval() -> None:
    rows = simulated(np.random.default_rng(4), 60)
    widths = [float(np.subtract(*bounds(rows, level)[::-1])[-1]) for level in (0.5, 0.9, 0.95, 0.99)]
    assert widths == sorted(widths)
    assert float(np.subtract(*bounds(rows[:15])[::-1])[-1]) > widths[2]
    low, high = bounds(rows)
    assert (low < figures(rows.sum(axis=0))).all() and (figures(rows.sum(axis=0)) < high).all()


@pytest.mark.parametrize("number", [12, 60])
def test_intervals_cover_the_truth_as_often_as_they_say(number: int) -> None:
    """95 % intervals of 300 simulated corpora cover between 92 and 97 % of the time; `benchmarks/coverage.py` has more settings."""
    truth = figures(simulated(np.random.default_rng(99), 200_000).sum(axis=0))
    rng = np.random.default_rng(5)
    covered = np.zeros(4)
    for _ in range(CORPORA):
        low, high = bounds(simulated(rng, number))
        covered += (low <= truth) & (truth <= high)
    assert 0.92 <= covered[2] / CORPORA <= 0.97 and 0.92 <= covered[3] / CORPORA <= 0.97


def test_the_calibration_error_weighs_bins_by_their_size() -> None:
    """Nine of ten entities are in a bin that is off by .05, one is in a bin that is off by .85."""
    judged = [(0.95, True)] * 9 + [(0.15, True)]
    result = calibration(judged)
    assert result is not None and result["ece"] == pytest.approx(0.9 * 0.05 + 0.1 * 0.85)
