"""Paired differences: hand tables, symmetry, an exact oracle for few documents, and noise that must not be significant."""

from __future__ import annotations

import itertools
import random

import pytest

from clinspan.metrics import add_counts, Counts, Scores
from clinspan.metrics.paired import compare_systems, holm

LABELS = ["Sign", "Disease"]


def documents(hits: list[tuple[int, int]]) -> list[dict[str, Counts]]:
    """Counts of documents with ten Signs and two Diseases each; `hits` gives the matched ones."""
    return [{"Sign": Counts(a, 10, 10), "Disease": Counts(b, 2, 2)} for a, b in hits]


def test_the_difference_is_that_of_the_scores_and_changes_sign_with_their_order() -> None:
    first, second = documents([(3, 1), (5, 0), (2, 2)]), documents([(4, 1), (9, 1), (2, 1)])
    comparison = compare_systems(first, second, LABELS, samples=500, seed=1)
    scores = [Scores(add_counts(system, LABELS)) for system in (first, second)]
    assert comparison["macro"].difference == pytest.approx(scores[1].macro["f1"] - scores[0].macro["f1"])
    assert comparison["micro"].difference == pytest.approx(scores[1].micro["f1"] - scores[0].micro["f1"])
    swapped = compare_systems(second, first, LABELS, samples=500, seed=1)
    assert swapped["macro"].difference == pytest.approx(-comparison["macro"].difference)
    assert swapped["macro"].interval[0] == pytest.approx(-comparison["macro"].interval[1])
    assert comparison == compare_systems(first, second, LABELS, samples=500, seed=1)


def test_equal_systems_have_difference_0_and_p_value_1() -> None:
    same = documents([(3, 1), (5, 0)])
    comparison = compare_systems(same, same, LABELS, samples=200, seed=0)
    assert all(d.difference == 0 and d.interval == (0.0, 0.0) and d.p_value == 1.0 for d in comparison.values())


def test_p_values_match_an_enumeration_of_all_swaps() -> None:
    first, second = documents([(1, 0), (2, 0), (4, 0), (3, 0), (5, 0)]), documents([(6, 0), (5, 0), (3, 0), (8, 0), (9, 0)])
    observed = abs(sum(b["Sign"].matched - a["Sign"].matched for a, b in zip(first, second, strict=True)))
    deltas = [b["Sign"].matched - a["Sign"].matched for a, b in zip(first, second, strict=True)]
    signs = list(itertools.product((1, -1), repeat=len(deltas)))
    exact = sum(abs(sum(s * d for s, d in zip(row, deltas, strict=True))) >= observed for row in signs) / len(signs)
    comparison = compare_systems(first, second, LABELS, samples=20000, seed=3)["Sign"]
    assert comparison.p_value == pytest.approx(exact, abs=0.01)


def test_a_real_difference_is_found_and_noise_is_not() -> None:
    rng = random.Random(5)
    base = [(rng.randint(2, 6), rng.randint(0, 2)) for _ in range(40)]
    better = compare_systems(documents(base), documents([(a + 2, b) for a, b in base]), LABELS, samples=1000, seed=0)["Sign"]
    assert better.p_value < 0.01
    assert better.interval[0] > 0
    noisy = [(min(10, max(0, a + rng.choice((-1, 1)))), b) for a, b in base]
    assert compare_systems(documents(base), documents(noisy), LABELS, samples=1000, seed=0)["Sign"].p_value > 0.05


def test_holm_against_a_hand_table() -> None:
    assert holm([0.2, 0.001, 0.02, 0.9]) == pytest.approx([0.4, 0.004, 0.06, 0.9])
    assert holm([]) == []


def test_different_numbers_of_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 1 documents cannot be paired"):
        compare_systems(documents([(1, 1), (1, 1)]), documents([(1, 1)]), LABELS, samples=10, seed=0)


def test_sampling_in_parts_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many documents times many samples would not fit into memory at once."""
    rng = random.Random(5)
    first, second = (documents([(rng.randrange(10), rng.randrange(3)) for _ in range(40)]) for _ in range(2))
    at_once = compare_systems(first, second, LABELS, samples=333, seed=2)
    monkeypatch.setattr("clinspan.metrics.paired._CELLS", 400)
    assert compare_systems(first, second, LABELS, samples=333, seed=2) == at_once
