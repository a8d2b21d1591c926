"""Resampled scores against the same draws, scored one by one in plain Python."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from clinspan.metrics import add_counts, Counts, Scores
from clinspan.metrics.bootstrap import document_bootstrap, f1_scores
from clinspan.metrics.paired import compare_systems, Difference, holm

LABELS = ["Sign", "Disease", "Age"]
Table = list[dict[str, Counts]]


def documents(number: int, seed: int) -> Table:
    """Counts of documents; no document has an Age."""
    chance = random.Random(seed)

    def counts() -> Counts:
        pred, gold = chance.randrange(6), chance.randrange(6)
        return Counts(chance.randint(0, min(pred, gold)), pred, gold)

    return [{"Sign": counts(), "Disease": counts(), "Age": Counts()} for _ in range(number)]


def figures(tables: Sequence[dict[str, Counts]], labels: Sequence[str] = LABELS) -> list[float]:
    """F1 by label, macro and micro."""
    scores = Scores(add_counts(tables, labels))
    return [*(scores.per_type[label]["f1"] for label in labels), scores.macro["f1"], scores.micro["f1"]]


@pytest.mark.parametrize(("samples", "level"), [(1, 0.95), (7, 0.95), (50, 0.8)])
@pytest.mark.parametrize("cells", [1, 9 * 20, 9 * 20 * 7, 4_000_000])
def test_intervals_are_quantiles_of_resampled_scores(
    samples: int, level: float, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clinspan.metrics.bootstrap._CELLS", cells)
    tables, rng = documents(20, 1), np.random.default_rng(5)
    rows = [figures([tables[i] for i in rng.integers(0, 20, 20)]) for _ in range(samples)]
    low, high = np.quantile(rows, [(1 - level) / 2, (1 + level) / 2], axis=0)
    found = document_bootstrap(tables, LABELS, samples=samples, seed=5, level=level)
    assert list(found) == [*LABELS, "macro", "micro"]
    assert list(found.values()) == pytest.approx([pytest.approx(pair) for pair in zip(low, high)])
    if level == 0.95:
        assert found == document_bootstrap(tables, LABELS, samples=samples, seed=5)


def test_a_batch_of_resamples_has_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers in memory at once are the resamples of a batch times three counts of each label."""
    sizes: list[int] = []
    stack = np.stack
    monkeypatch.setattr(np, "stack", lambda rows, **options: sizes.append(len(rows)) or stack(rows, **options))
    monkeypatch.setattr("clinspan.metrics.bootstrap._CELLS", 9 * 4)
    document_bootstrap(documents(5, 1), LABELS, samples=10, seed=0)
    assert sizes == [4, 4, 2]
    monkeypatch.setattr("clinspan.metrics.bootstrap._CELLS", 1)
    document_bootstrap(documents(5, 1), LABELS, samples=3, seed=0)
    assert sizes == [4, 4, 2, 1, 1, 1]


def test_no_documents_and_no_labels() -> None:
    assert document_bootstrap([], LABELS, samples=3, seed=0) == {}
    assert document_bootstrap([{}, {}], [], samples=3, seed=0) == {"macro": (0.0, 0.0), "micro": (0.0, 0.0)}


def test_f1_in_any_shape() -> None:
    counts = np.array([[[1.0, 2.0, 1.0], [0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [2.0, 2.0, 2.0]]])
    assert f1_scores(counts).tolist() == [[pytest.approx(2 / 3), 0.0], [0.0, 1.0]]
    assert f1_scores(np.array([0.0, 0.0, 3.0])) == 0


@pytest.mark.parametrize("samples", [1, 40])
def test_paired_figures_are_those_of_the_same_draws_in_plain_python(samples: int) -> None:
    first, second = documents(12, 2), documents(12, 3)
    rng = np.random.default_rng(8)
    observed = np.array(figures(second)) - figures(first)

    def repeated(tables: Table, times: Sequence[int]) -> Table:
        return [table for table, n in zip(tables, times, strict=True) for _ in range(n)]

    draws = rng.multinomial(12, [1 / 12] * 12, size=samples)
    spread = [np.array(figures(repeated(second, times))) - figures(repeated(first, times)) for times in draws]
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    swaps = rng.integers(0, 2, size=(samples, 12))
    extreme = np.zeros(5)
    for swap in swaps:
        pairs = [(b, a) if s else (a, b) for a, b, s in zip(first, second, swap, strict=True)]
        shuffled = np.array(figures([b for _, b in pairs])) - figures([a for a, _ in pairs])
        extreme += abs(shuffled) >= abs(observed) - 1e-12
    p_values = (extreme + 1) / (samples + 1)
    found = compare_systems(first, second, LABELS, samples=samples, seed=8)
    assert list(found) == [*LABELS, "macro", "micro"]
    for i, difference in enumerate(found.values()):
        assert difference.difference == pytest.approx(observed[i])
        assert difference.interval == pytest.approx((low[i], high[i]))
        assert difference.p_value == pytest.approx(p_values[i])
    assert [d.p_holm for d in found.values()] == [*holm([float(p) for p in p_values[:3]]), None, None]


@pytest.mark.parametrize("cells", [1, 12, 12 * 7, 1 << 22])
def test_batches_add_up_and_are_bounded(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from clinspan.metrics import paired

    monkeypatch.setattr(paired, "_CELLS", cells)
    sizes = paired._parts(40, 12)
    assert sum(sizes) == 40 and max(sizes) == min(40, max(1, cells // 12))
    assert all(size == sizes[0] for size in sizes[:-1])


def test_holm_is_bounded_by_1_keeps_the_order_and_never_falls() -> None:
    assert holm([0.5, 0.6, 0.7]) == [1.0, 1.0, 1.0]
    assert holm([0.03, 0.03, 0.001]) == pytest.approx([0.06, 0.06, 0.003])
    assert holm([0.01, 0.012]) == pytest.approx([0.02, 0.02])
    assert holm([0.04]) == [0.04]


def test_a_difference_as_a_record() -> None:
    record = {"difference": 0.1, "interval": [0.0, 0.2], "p_value": 0.3}
    assert Difference(0.1, (0.0, 0.2), 0.3).as_dict() == record
    assert Difference(0.1, (0.0, 0.2), 0.3, 0.9).as_dict() == {**record, "p_holm": 0.9}


def test_no_documents_cannot_be_compared() -> None:
    for first, second in (([], []), (documents(2, 1), documents(3, 1))):
        with pytest.raises(ValueError, match=f"^{len(first)} and {len(second)} documents cannot be paired$"):
            compare_systems(first, second, LABELS, samples=3, seed=0)
