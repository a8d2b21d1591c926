"""Scores of annotations by characters, against every possible pairing and by hand."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import Entity, InputError
from clinspan.metrics.mention_scores import count_annotations, Fragments, largest_pairing, score_mentions

LABELS = ["Sign", "Disease"]
SPAN = st.tuples(st.integers(0, 9), st.integers(1, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))
PLACE = st.lists(SPAN, min_size=1, max_size=2, unique=True).map(lambda spans: tuple(sorted(spans)))
PLACES = st.lists(PLACE, max_size=4, unique=True)


def characters(place: Fragments) -> set[int]:
    return {n for start, end in place for n in range(start, end)}


def best(left: list[Fragments], right: list[Fragments]) -> int:
    """The number of pairs that share a character in the best assignment of all."""
    short, long = sorted((left, right), key=len)
    chosen = permutations(long, len(short))
    return max(sum(bool(characters(a) & characters(b)) for a, b in zip(short, some, strict=True)) for some in chosen)


@given(PLACES, PLACES)
@settings(max_examples=150, deadline=None)
def test_the_pairing_is_the_largest(left: list[Fragments], right: list[Fragments]) -> None:
    assert largest_pairing(left, right) == best(left, right)


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        # exact, relaxed, type-free: how many are matched
        ([("Sign", (0, 5))], [("Sign", (0, 5))], (1, 1, 1)),
        ([("Sign", (0, 5))], [("Sign", (0, 4))], (0, 1, 0)),
        ([("Sign", (0, 5))], [("Disease", (0, 5))], (0, 0, 1)),
        ([("Sign", (0, 5))], [("Sign", (5, 9))], (0, 0, 0)),
        # the same place with two types: one prediction matches one of them
        ([("Sign", (0, 5)), ("Disease", (0, 5))], [("Sign", (0, 5))], (1, 1, 1)),
        # pieces in any order; a gap is no part of the mention
        ([("Sign", (8, 9), (0, 2))], [("Sign", (0, 2), (8, 9))], (1, 1, 1)),
        ([("Sign", (0, 2), (8, 9))], [("Sign", (3, 7))], (0, 0, 0)),
        # nested mentions
        ([("Sign", (0, 9)), ("Sign", (2, 4))], [("Sign", (2, 4))], (1, 1, 1)),
        ([("Sign", (0, 9)), ("Sign", (2, 4))], [("Sign", (2, 3)), ("Sign", (6, 7))], (0, 2, 0)),
    ],
)
def test_matched_annotations_by_hand(gold: list[Any], found: list[Any], expected: tuple[int, int, int]) -> None:
    sides = [[Entity(label, fragments) for label, *fragments in side] for side in (gold, found)]  # type: ignore[arg-type]
    for match, matched in zip(("exact", "relaxed", "type_free"), expected, strict=True):
        counts = count_annotations(*sides, match).values()  # type: ignore[arg-type]
        sizes = [sum(getattr(one, key) for one in counts) for key in ("matched", "pred", "gold")]
        assert sizes == [matched, len(found), len(gold)], match


def test_equal_annotations_count_once() -> None:
    twice = [Entity("Sign", ((0, 5),)), Entity("Sign", ((0, 5),))]
    assert count_annotations(twice, twice[:1], "exact")["Sign"].gold == 1


def test_a_document_without_predictions_lowers_recall() -> None:
    fever = [Entity("Sign", ((0, 5),))]
    scores = score_mentions({"a": (fever, fever), "b": (fever, ())}, LABELS, "exact", missing=1)
    assert scores["micro"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert scores["macro"]["f1"] == pytest.approx(2 / 3) and scores["macro_types"] == ["Sign"]
    assert scores["signature"] == "unit:entity|match:exact|avg:macro|types:1/2|align:characters|missing:1/2|v2"
    assert scores["intervals"]["f1"]["micro"] is None
    free = score_mentions({"a": (fever, fever)}, LABELS, "type_free")
    assert free["signature"] == "unit:entity|match:type_free|avg:micro|types:1|align:characters|missing:0/1|v2"
    assert free["macro"] is None and free["macro_types"] == []


def test_an_unknown_reading_is_refused() -> None:
    with pytest.raises(InputError, match="match=token is not known. Use one of exact, relaxed, type_free"):
        score_mentions({}, LABELS, "token")  # type: ignore[arg-type]
