"""Paired differences: hand tables, symmetry, scipy's permutation test, the jackknife in plain Python, and equal systems."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from clinspan.metrics import add_counts, Counts, Scores
from clinspan.metrics.intervals import count_table, figures
from clinspan.metrics.paired import compare_systems, Difference, difference_bounds, EXACT, holm, swap_test

LABELS = ["Sign", "Disease"]
CORPORA = 300
Table = list[dict[str, Counts]]


def documents(hits: list[tuple[int, int]]) -> Table:
    """Counts of documents with ten Signs and two Diseases each; `hits` gives the matched ones."""
    return [{"Sign": Counts(a, 10, 10), "Disease": Counts(b, 2, 2)} for a, b in hits]


def some(number: int, seed: int) -> Table:
    rng = random.Random(seed)
    return documents([(rng.randrange(11), rng.randrange(3)) for _ in range(number)])


def simulated(rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Matched, predicted and gold mentions, shape (documents, labels, 3), of documents that differ in length and difficulty."""
    gold = 1 + rng.poisson([[6.0, 3.0]] * number)
    matched = rng.binomial(gold, rng.beta(8, 2, size=(number, 1)) * np.array((0.8, 0.6)))
    return np.stack([matched, matched + rng.poisson(gold * 0.25), gold], axis=-1).astype(np.float64)


def test_the_difference_is_that_of_the_scores_and_changes_sign_with_their_order() -> None:
    first, second = some(12, 1), some(12, 2)
    comparison = compare_systems(first, second, LABELS, samples=500, seed=1)
    scores = [Scores(add_counts(system, LABELS)) for system in (first, second)]
    assert list(comparison) == [*LABELS, "macro", "micro"]
    assert comparison["macro"].difference == pytest.approx(scores[1].macro["f1"] - scores[0].macro["f1"])
    assert comparison["micro"].difference == pytest.approx(scores[1].micro["f1"] - scores[0].micro["f1"])
    swapped = compare_systems(second, first, LABELS, samples=500, seed=1)
    for name, found in comparison.items():
        assert found.interval is not None
        low, high = found.interval
        assert swapped[name].difference == pytest.approx(-found.difference)
        assert swapped[name].interval == pytest.approx((-high, -low))
        assert swapped[name].p_value == found.p_value
    assert comparison == compare_systems(first, second, LABELS, samples=500, seed=1)


def test_equal_systems_have_difference_0_and_p_value_1() -> None:
    same = some(10, 3)
    comparison = compare_systems(same, same, LABELS, samples=200, seed=0)
    assert all(d.difference == 0 and d.interval == (0.0, 0.0) and d.p_value == d.p_least == 1.0 for d in comparison.values())


def test_few_documents_have_neither_interval_nor_p_value() -> None:
    found = compare_systems(some(9, 1), some(9, 2), LABELS, samples=10, seed=0)
    scores = [Scores(add_counts(some(9, seed), LABELS)) for seed in (1, 2)]
    assert all(one == Difference(one.difference) for one in found.values())
    assert found["micro"].difference == pytest.approx(scores[1].micro["f1"] - scores[0].micro["f1"]) != 0
    rare = [{"Sign": Counts(1, 2, 2), "Disease": Counts(0, int(n < 18) * (n % 2), 0)} for n in range(20)]
    better = [{"Sign": Counts(1 + n % 2, 2, 2), "Disease": Counts()} for n in range(20)]
    by_type = compare_systems(rare, better, LABELS, samples=10, seed=0)
    assert by_type["Disease"] == Difference(0.0)
    assert by_type["Sign"].p_value == by_type["Sign"].p_holm == 2 / 1024  # one test, ten documents that differ


@pytest.mark.parametrize("number", [10, EXACT])
def test_p_values_are_those_of_scipys_permutation_test(number: int) -> None:
    hits = [(n % 10, n % 3) for n in range(number)]
    first = count_table(documents(hits), LABELS)
    second = count_table(documents([((3 * a + 1) % 11, (b + 1) % 3) for a, b in hits]), LABELS)  # another answer to each document
    both = np.concatenate([first, second])

    def difference(one: NDArray[np.int64], other: NDArray[np.int64], place: int) -> float:
        return float((figures(both[other].sum(axis=0)) - figures(both[one].sum(axis=0)))[place])

    p_values, _ = swap_test(first, second, 1, 0)
    for place in (0, 2, 3) if number == 10 else (3,):
        oracle = stats.permutation_test(
            (np.arange(number), np.arange(number) + number),
            lambda one, other, place=place: difference(one, other, place),  # type: ignore[misc]
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=False,
        )
        assert p_values[place] == pytest.approx(oracle.pvalue)


def test_more_documents_are_swapped_at_random_and_equal_ones_not_at_all() -> None:
    hits = [(n % 10, n % 3) for n in range(EXACT + 1)]
    first, second = documents(hits), documents([((3 * a + 1) % 11, 2 - b if b != 1 else 2) for a, b in hits])
    assert all(a != b for a, b in zip(first, second, strict=True))
    exact = swap_test(count_table(first[:-1], LABELS), count_table(second[:-1], LABELS), 9, 0)
    same = some(30, 7)
    padded = [count_table([*same, *system[:-1]], LABELS) for system in (first, second)]
    assert swap_test(*padded, 9, 0)[1].tolist() == exact[1].tolist()  # type: ignore[arg-type]
    drawn = [swap_test(count_table(first, LABELS), count_table(second, LABELS), 99, seed)[0] for seed in (0, 0, 1)]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
    assert all((p * 100 % 1).round(9).tolist() == [0.0] * 4 for p in drawn)


def test_random_swaps_come_near_to_all_swaps(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (count_table(some(13, seed), LABELS) for seed in (5, 6))
    exact, least = swap_test(first, second, 1, 0)
    monkeypatch.setattr("clinspan.metrics.paired.EXACT", 12)
    drawn, floor = swap_test(first, second, 20_000, 0)
    assert drawn == pytest.approx(exact, abs=0.012)
    assert floor.tolist() == [max(one, 1 / 20_001) for one in least]


def test_no_p_value_is_0_and_the_smallest_one_is_known() -> None:
    worst, best = [{"Sign": Counts(0, 9, 9)}] * 40, [{"Sign": Counts(9, 9, 9)}] * 40
    found = compare_systems(worst, best, ["Sign"], samples=99, seed=0)["micro"]
    assert found.p_value == found.p_least == 1 / 100
    few = compare_systems([*worst[:4], *best[:8]], best[:12], ["Sign"], samples=99, seed=0)["micro"]
    assert few.p_value == few.p_least == 2 / 2**4
    assert found.interval is None  # all documents say the same


def test_the_smallest_p_value_is_that_of_the_documents_that_differ_in_a_figure() -> None:
    first = count_table(documents([(5, 1)] * 12), LABELS)
    second = first.copy()
    second[:3, 0, 0] += 1  # Sign
    second[3:5, 1, 0] += 1  # Disease
    second[5, 0, 0] += 1
    second[5, 1, 0] -= 1  # both, so the counts of all labels together stay
    assert swap_test(first, second, 9, 0)[1].tolist() == [2 / 2**4, 2 / 2**3, 2 / 2**6, 2 / 2**5]


def test_intervals_are_those_of_the_jackknife_in_plain_python() -> None:
    first, second = some(11, 3), some(11, 4)

    def difference(keep: list[int]) -> float:
        scores = [Scores(add_counts([system[n] for n in keep], LABELS)) for system in (second, first)]
        return scores[0].macro["f1"] - scores[1].macro["f1"]

    values = [difference([n for n in range(11) if n != left]) for left in range(11)]
    mean = sum(values) / 11
    margin = stats.t.ppf(0.975, 10) * (sum((value - mean) ** 2 for value in values) * 10 / 11) ** 0.5
    found = compare_systems(first, second, LABELS, samples=9, seed=0)["macro"]
    assert found.interval == pytest.approx((found.difference - margin, found.difference + margin))


def test_intervals_stay_within_minus_1_and_1() -> None:
    wrong, right = Counts(0, 10, 10), Counts(1, 1, 1)
    first = count_table([{"Sign": wrong}] + [{"Sign": Counts(0, 1, 1)}] * 9, ["Sign"])
    second = count_table([{"Sign": wrong}] + [{"Sign": right}] * 9, ["Sign"])
    assert difference_bounds(first, second)[1].tolist() == [1.0] * 3
    assert difference_bounds(second, first)[0].tolist() == [-1.0] * 3


def test_a_real_difference_is_found_and_noise_is_not() -> None:
    rng = random.Random(5)
    base = [(rng.randint(2, 6), rng.randint(0, 2)) for _ in range(40)]
    better = compare_systems(documents(base), documents([(a + 1 + a % 2, b) for a, b in base]), LABELS, samples=1000, seed=0)[
        "Sign"
    ]
    assert better.p_value is not None and better.p_value < 0.01
    assert better.interval is not None and better.interval[0] > 0
    noisy = [(min(10, max(0, a + rng.choice((-1, 1)))), b) for a, b in base]
    found = compare_systems(documents(base), documents(noisy), LABELS, samples=1000, seed=0)["Sign"]
    assert found.p_value is not None and found.p_value > 0.05


def test_holm_against_hand_tables() -> None:
    assert holm([0.2, 0.001, 0.02, 0.9]) == pytest.approx([0.4, 0.004, 0.06, 0.9])
    assert holm([]) == []
    assert holm([0.5, 0.6, 0.7]) == [1.0, 1.0, 1.0]
    assert holm([0.03, 0.03, 0.001]) == pytest.approx([0.06, 0.06, 0.003])
    assert holm([0.01, 0.012]) == pytest.approx([0.02, 0.02])
    assert holm([0.04]) == [0.04]


def test_a_difference_as_a_record() -> None:
    record = {"difference": 0.1, "interval": [0.0, 0.2], "p_value": 0.3, "p_least": 0.1}
    assert Difference(0.1, (0.0, 0.2), 0.3, None, 0.1).as_dict() == record
    assert Difference(0.1, (0.0, 0.2), 0.3, 0.9, 0.1).as_dict() == {**record, "p_holm": 0.9}
    assert Difference(0.1).as_dict() == {"difference": 0.1, "interval": None, "p_value": None, "p_least": None}


def test_p_values_of_types_are_corrected_by_holm() -> None:
    found = compare_systems(some(20, 1), some(20, 2), LABELS, samples=50, seed=0)
    p_values = [found[label].p_value for label in LABELS]
    assert [found[label].p_holm for label in LABELS] == holm([float(p) for p in p_values if p is not None])
    assert found["macro"].p_holm is None and found["micro"].p_holm is None


def test_different_numbers_of_documents_are_refused() -> None:
    for first, second in (([], []), (some(2, 1), some(3, 1))):
        with pytest.raises(ValueError, match=f"^{len(first)} and {len(second)} documents cannot be paired$"):
            compare_systems(first, second, LABELS, samples=3, seed=0)


@pytest.mark.parametrize("cells", [1, 40, 400])
def test_batches_change_no_result_and_are_bounded(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many documents times many samples would not fit into memory at once."""
    pairs = [(some(40, 5), some(40, 6)), (some(11, 5), some(11, 6))]
    at_once = [compare_systems(*pair, LABELS, samples=333, seed=2) for pair in pairs]
    sizes: list[int] = []
    product = np.tensordot
    monkeypatch.setattr(np, "tensordot", lambda a, *rest, **options: sizes.append(a.size) or product(a, *rest, **options))
    monkeypatch.setattr("clinspan.metrics.paired._CELLS", cells)
    assert [compare_systems(*pair, LABELS, samples=333, seed=2) for pair in pairs] == at_once
    assert max(sizes) <= max(cells, 40)


@pytest.fixture(scope="module")
def exchanged() -> list[tuple[float, float, float]]:
    """p-value and bounds of the micro difference of two equally good systems, over simulated corpora of 20 documents."""
    rng = np.random.default_rng(6)
    found = []
    for number in range(CORPORA):
        a, b = simulated(rng, 20), simulated(rng, 20)
        low, high = difference_bounds(a, b)
        found.append((float(swap_test(a, b, 999, number)[0][-1]), float(low[-1]), float(high[-1])))
    return found


def test_p_values_are_uniform_where_systems_are_equally_good(exchanged: list[tuple[float, float, float]]) -> None:
    assert stats.kstest([p for p, _, _ in exchanged], "uniform").pvalue > 0.01


def test_paired_intervals_cover_0_where_systems_are_equally_good(exchanged: list[tuple[float, float, float]]) -> None:
    assert 0.92 <= np.mean([low <= 0 <= high for _, low, high in exchanged]) <= 0.97


def test_interval_and_p_value_mostly_agree(exchanged: list[tuple[float, float, float]]) -> None:
    assert np.mean([(p < 0.05) != (low > 0 or high < 0) for p, low, high in exchanged]) < 0.05
