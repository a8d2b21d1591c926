"""Tests of scores of full mentions, most of them against brute force."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.corpora import FullMention, InputError
from clinspan.corpora.full_mentions import merged, of_tags
from clinspan.metrics.full_scores import flat_limits, full_scores, most_flat
from clinspan.metrics.readings import score_reading
from clinspan.metrics.scoring import Metric, score_records
from clinspan.reports.terminal.tables import full_notes

LABELS = ["Disease", "Sign"]
LENGTH = 6
PIECES = st.lists(st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(sorted), min_size=1, max_size=3)
MENTION = st.tuples(st.sampled_from(LABELS), PIECES.map(lambda pieces: merged((a, b) for a, b in pieces)).filter(bool))
MENTIONS = st.lists(MENTION.map(lambda one: FullMention(*one)), max_size=5)
TAGS = st.lists(st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"]), min_size=LENGTH, max_size=LENGTH)


def row(gold: list[FullMention], pred: list[FullMention] | None, tags: list[str], document: str = "d") -> dict[str, Any]:
    own = {"id": f"{document}:0", "document": document, "gold": tags, "pred": tags, "repairs": {}, "error": None}
    listed = {} if pred is None else {"pred_mentions": [{**one.record(), "confidence": None} for one in pred]}
    return {**own, "gold_mentions": [one.record() for one in gold], **listed}


@given(st.lists(st.tuples(MENTIONS, MENTIONS), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_f1_equals_that_of_comparing_every_pair(sentences: list[tuple[list[FullMention], list[FullMention]]]) -> None:
    rows = [row(gold, pred, ["O"] * LENGTH, f"d{n}") for n, (gold, pred) in enumerate(sentences)]
    scores = full_scores(rows, LABELS)
    assert scores is not None
    totals = [0, 0, 0]
    for label in LABELS:
        right = found = true = 0
        for gold, pred in sentences:
            golds, preds = ([one for one in dict.fromkeys(side) if one.label == label] for side in (gold, pred))
            true, found = true + len(golds), found + len(preds)
            right += sum(one.fragments == other.fragments for one in golds for other in preds)
        assert scores["counts"][label] == {"matched": right, "pred": found, "gold": true}
        assert scores["per_type"][label]["f1"] == pytest.approx(2 * right / (found + true) if found + true else 0)
        totals = [a + b for a, b in zip(totals, (right, found, true), strict=True)]
    assert scores["micro"]["f1"] == pytest.approx(2 * totals[0] / sum(totals[1:]) if sum(totals[1:]) else 0)
    reading = score_reading(rows, LABELS, Metric(), "full", alignment="tokens")
    assert {key: reading[key] for key in scores} == scores and "unit:mention|match:full|" in reading["signature"]


@given(MENTIONS)
@settings(max_examples=200, deadline=None)
def test_no_tags_have_more_mentions_than_the_limit_says(mentions: list[FullMention]) -> None:
    """Against all sets of mentions: tags can have those that are continuous and share no token."""
    different = list(dict.fromkeys(mentions))
    possible = [
        len(chosen)
        for size in range(len(different) + 1)
        for chosen in itertools.combinations(different, size)
        if all(one.continuous for one in chosen)
        and all(a.end <= b.start or b.end <= a.start for a, b in itertools.combinations(chosen, 2))
    ]
    assert most_flat({(one.label, one.fragments) for one in mentions}) == max(possible)


@given(MENTIONS, TAGS)
@settings(max_examples=100, deadline=None)
def test_no_prediction_by_tags_is_above_the_limit(mentions: list[FullMention], tags: list[str]) -> None:
    rows = [row(mentions, None, tags)]
    scores = full_scores(rows, LABELS)
    assert scores is not None
    flat = scores["flat"]
    assert scores["micro"]["f1"] == flat["gold_tags"]["f1"] <= flat["best"]["f1"] + 1e-12
    assert flat["mentions"] - flat["lost"] == most_flat({(one.label, one.fragments) for one in mentions})
    assert flat["lost"] <= flat["discontinuous"] + flat["overlapping"] <= flat["mentions"] == len(set(mentions))


@given(TAGS)
@settings(max_examples=100, deadline=None)
def test_flat_mentions_have_equal_flat_and_full_scores(tags: list[str]) -> None:
    scores = score_records([row(of_tags(tags), None, tags)], LABELS, Metric(), alignment="tokens")
    assert {key: scores["full"][key] for key in ("micro", "macro", "per_type")} == {
        key: scores[key] for key in ("micro", "macro", "per_type")
    }
    assert scores["full"]["flat"]["lost"] == 0


def test_pieces_and_nesting_by_hand_and_in_words() -> None:
    """`acute renal failure` with `renal`, and `Pain in ... legs`: three mentions, of which tags can have one."""
    gold = [FullMention("Organ", ((1, 2),)), FullMention("Disease", ((0, 3),)), FullMention("Sign", ((4, 6), (8, 9)))]
    tags = ["B-Disease", "I-Disease", "I-Disease", "O", "B-Sign", "I-Sign", "O", "O", "O"]
    labels = ["Disease", "Organ", "Sign"]
    rows = [row(gold, gold[1:], tags)]
    assert flat_limits(rows, labels, "conlleval") == {
        "mentions": 3,
        "discontinuous": 1,
        "overlapping": 2,
        "lost": 2,
        "best": {"precision": 1.0, "recall": 1 / 3, "f1": 0.5},
        "gold_tags": {"precision": 0.5, "recall": 1 / 3, "f1": 0.4},
    }
    scores = score_records(rows, labels, Metric(), alignment="tokens")
    assert scores["full"]["micro"] == {"precision": 1.0, "recall": 2 / 3, "f1": 0.8}
    assert full_notes(scores) == [
        "flat F1 1.0000, full F1 0.8000; tags reach a full F1 of at most 0.5000 (gold tags 0.4000), "
        "as they cannot have 2 of 3 mentions (1 in pieces, 2 sharing tokens)"
    ]


def test_predictions_without_full_mentions_have_no_such_score() -> None:
    plain = row([], None, ["O"]) | {"gold_mentions": None}
    assert full_scores([plain], LABELS) is None and "full" not in score_records([plain], LABELS, Metric(), alignment="tokens")
    assert full_scores([], LABELS) is None
    with pytest.raises(InputError, match=r"match=full needs the gold mentions in full.*corpus\.mentions=full"):
        score_reading([plain], LABELS, Metric(), "full", alignment="tokens")
