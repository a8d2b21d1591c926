"""Confidences of entities and their calibration against scipy and a plain definition."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clinspan.metrics.calibration import calibration, entity_confidence, judge_entities, sum_deviation

PROBABILITY = st.floats(0.001, 1)
JUDGED = st.lists(
    st.tuples(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0])), st.booleans()), min_size=1, max_size=40
)


@settings(deadline=None)
@given(JUDGED)
def test_the_error_is_that_of_guo_et_al(judged: list[tuple[float, bool]]) -> None:
    """Ten bins of equal width, the last with both its bounds: the gaps weighted by the bins' shares."""
    found = calibration(iter(judged))
    assert found is not None and found["entities"] == len(judged) and len(found["bins"]) == 10
    error = 0.0
    for number, part in enumerate(found["bins"]):
        inside = [(value, hit) for value, hit in judged if math.floor(value * 10) == number or (number == 9 and value == 1)]
        assert (part["low"], part["high"], part["entities"]) == (number / 10, (number + 1) / 10, len(inside))
        if not inside:
            assert part["confidence"] is None and part["accuracy"] is None
            continue
        values, hits = np.array(inside).T
        assert (part["confidence"], part["accuracy"]) == pytest.approx((values.mean(), hits.mean()))
        error += len(inside) / len(judged) * abs(values.mean() - hits.mean())
    assert found["ece"] == pytest.approx(error)
    assert sum(part["entities"] for part in found["bins"]) == len(judged)


def test_without_confidences_there_is_no_calibration() -> None:
    assert calibration([]) is None


@given(st.lists(st.one_of(PROBABILITY, st.none()), min_size=1, max_size=9), st.data())
def test_the_confidence_of_an_entity_is_scipys_geometric_mean(values: list[float | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(start + 1, len(values)))
    known = [value for value in values[start:end] if value is not None]
    confidence = entity_confidence(values, start, end)
    assert confidence == (pytest.approx(stats.gmean(known), abs=1e-11) if known else None)


def test_probabilities_of_0_and_rounding() -> None:
    assert entity_confidence(None, 0, 3) is None
    assert entity_confidence([], 0, 3) is None
    assert entity_confidence([0.0], 0, 1) == 1e-12
    assert entity_confidence([0.9, None, 0.4], 0, 3) == 0.6
    assert entity_confidence([1e-30, 1.0], 0, 2) == 1e-6
    assert entity_confidence([1 / 3], 0, 1) == 0.333333333333


def test_entities_are_judged_in_their_order_by_type_and_both_bounds() -> None:
    gold = ["B-Sign", "I-Sign", "O", "B-Disease", "B-Sign", "B-Sign"]
    pred = ["B-Sign", "I-Sign", "O", "B-Sign", "B-Sign", "I-Sign"]
    confidence = [0.9, 0.4, 0.1, 0.5, 0.25, 1.0]
    assert judge_entities(gold, pred, confidence, "conlleval") == [(0.6, True), (0.5, False), (0.5, False)]
    assert judge_entities(gold, pred, [None, None, None, 0.5, None, 1.0], "conlleval") == [(0.5, False), (1.0, False)]
    assert judge_entities(gold, pred, None, "conlleval") == []
    assert judge_entities(["B-Sign", "B-A"], ["B-Sign", "I-A"], [0.5, 0.75], "conlleval") == [(0.5, True), (0.75, True)]
    assert judge_entities(["B-Sign", "B-A"], ["B-Sign", "I-A"], [0.5, 0.75], "strict") == [(0.5, True)]
    assert judge_entities(["B-Z", "B-A"], ["B-Z", "B-A"], [0.5, 0.75], "strict") == [(0.5, True), (0.75, True)]


@pytest.mark.parametrize("number", [40, 400, 1500])
def test_the_error_by_chance_is_the_mean_error_of_exact_confidences(number: int) -> None:
    rng = random.Random(number)
    values = [rng.uniform(0.3, 1.0) for _ in range(number)]
    errors, by_chance = [], set()
    for _ in range(300):
        result = calibration([(value, rng.random() < value) for value in values])
        assert result is not None
        errors.append(result["ece"])
        by_chance.add(result["ece_by_chance"])
    (expected,) = by_chance
    assert expected == pytest.approx(sum(errors) / len(errors), rel=0.06)


def test_many_and_few_events_deviate_alike() -> None:
    values = [0.6, 0.75, 0.9] * 333
    assert sum_deviation(values) == pytest.approx(sum_deviation([*values, 1.0, 1.0]), rel=0.001)
