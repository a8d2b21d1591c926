"""Maps of confidences: fitted to simulated mentions whose chance of being right is known."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.metrics.calibration import auroc, calibration, entity_confidence, Judged
from clinspan.metrics.confidence_map import ConfidenceMap, fit_map, LEAST


def simulated(number: int, seed: int, slope: float = 0.4, intercept: float = -1.0) -> list[Judged]:
    """Overconfident mentions: right with the probability that a map with this slope and intercept gives."""
    rng = random.Random(seed)
    confidences = [1 / (1 + math.exp(-rng.uniform(-1, 6))) for _ in range(number)]
    truth = ConfidenceMap(slope=slope, intercept=intercept, mentions=number)
    return [(value, rng.random() < truth(value)) for value in confidences]


def test_the_map_is_found_again_and_mends_unseen_mentions() -> None:
    found = fit_map(simulated(4000, 1))
    assert found is not None and (found.slope, found.intercept) == (pytest.approx(0.4, abs=0.1), pytest.approx(-1.0, abs=0.3))
    unseen = simulated(2000, 2)
    before, after = calibration(unseen), calibration([(found(value), right) for value, right in unseen])
    assert before is not None and after is not None
    assert before["ece"] > 0.2 and after["ece"] < 0.05 and after["brier"] < before["brier"]
    assert after["auroc"] == pytest.approx(before["auroc"])


def test_too_few_or_unordered_mentions_have_no_map() -> None:
    assert fit_map(simulated(LEAST - 1, 1)) is None
    assert fit_map([(0.9, True)] * 50) is None
    assert fit_map([(0.9, False), (0.6, True)] * 50) is None
    assert fit_map([(0.5, False), (0.5, True)] * 50) is None  # slope 0: the confidence says nothing


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_auroc_is_that_of_scikit_learn(judged: list[Judged]) -> None:
    from sklearn.metrics import roc_auc_score

    if len({right for _, right in judged}) < 2:
        assert auroc(judged) is None
    else:
        assert auroc(judged) == pytest.approx(roc_auc_score([right for _, right in judged], [value for value, _ in judged]))


def test_the_tags_of_a_mention_get_the_confidence_in_it_and_others_keep_theirs() -> None:
    mapped = ConfidenceMap(slope=0.5, intercept=-0.5, mentions=20)
    pred, given_ = ["O", "B-Sign", "I-Sign", "O"], [0.99, 0.9, 0.4, None]
    tags = mapped.tags(pred, given_, "conlleval")
    assert tags is not None and tags[0] == 0.99 and tags[3] is None
    assert tags[1] == tags[2] == pytest.approx(mapped(0.6))
    assert entity_confidence(tags, 1, 3) == pytest.approx(mapped(0.6))
    assert mapped.tags(pred, None, "conlleval") is None


def test_a_saved_map_that_is_not_valid_is_none() -> None:
    content = {"slope": 1.0, "intercept": 0.0, "mentions": 20}
    assert ConfidenceMap.saved(content) == ConfidenceMap(slope=1, intercept=0, mentions=20)
    assert ConfidenceMap.saved({**content, "slope": "steep"}) is None and ConfidenceMap.saved([]) is None
    assert ConfidenceMap.saved({**content, "slope": float("nan")}) is None
    steep = ConfidenceMap(slope=1e300, intercept=0, mentions=20)
    assert steep(0.2) == pytest.approx(0) and steep(0.8) == 1.0
    assert ConfidenceMap.saved(None) is None
