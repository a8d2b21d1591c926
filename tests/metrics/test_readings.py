"""Readings of tags against seqeval, scikit-learn and nervaluate, and against the scores that runs write."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate.evaluator import Evaluator
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2
from sklearn.metrics import precision_recall_fscore_support as token_scores

from clinspan.corpora import InputError
from clinspan.metrics import Mode
from clinspan.metrics.counts import entities
from clinspan.metrics.errors import overlap
from clinspan.metrics.offset_scores import offset_scores
from clinspan.metrics.readings import MATCHES, score_reading
from clinspan.metrics.relaxed import relaxed_scores
from clinspan.metrics.scoring import Metric, score_records

LABELS = ["Sign", "Disease"]
TAG = st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])
CORPUS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=9), min_size=1, max_size=5)
MODES = st.sampled_from(["conlleval", "strict"])
Pairs = list[list[tuple[str, str]]]


def rows_of(sentences: Pairs) -> list[dict[str, Any]]:
    """Two sentences a document; every second token is the word `w0`, and each word has two characters."""
    return [
        {
            "id": f"{n}",
            "document": f"d{n // 2}",
            "tokens": [f"w{k % 2}" for k in range(len(sentence))],
            "gold": [gold for gold, _ in sentence],
            "pred": [pred for _, pred in sentence],
            "offsets": [[100 * n + 3 * k, 100 * n + 3 * k + 2] for k in range(len(sentence))],
            "mentions": [],
            "repairs": {},
            "error": None,
        }
        for n, sentence in enumerate(sentences)
    ]


def read(sentences: Pairs, match: Any, mode: Mode = "conlleval") -> dict[str, Any]:
    return score_reading(rows_of(sentences), LABELS, Metric(mode=mode), match, alignment="tokens")


def triple(scores: dict[str, Any]) -> list[float]:
    return [scores[key] for key in ("precision", "recall", "f1")]


@given(CORPUS, MODES)
@settings(max_examples=60, deadline=None)
def test_readings_agree_with_what_runs_write(sentences: Pairs, mode: Mode) -> None:
    rows = rows_of(sentences)
    for row in rows:
        row["mentions"] = [
            {"label": label, "fragments": [[row["offsets"][first][0], row["offsets"][last][1] - (first == last)]]}
            for label, first, last in entities(row["gold"], mode)
        ]
    metric = Metric(mode=mode)
    found = {match: score_reading(rows, LABELS, metric, match, alignment="tokens") for match in MATCHES if match != "full"}
    written = score_records(rows, LABELS, metric, alignment="tokens")
    assert {key: found["exact"][key] for key in written} == written
    weaker = relaxed_scores(rows, LABELS, mode)
    for match, name in (("relaxed", "overlap"), ("document", "document")):
        assert {key: found[match][key] for key in weaker[name]} == weaker[name]  # type: ignore[index]
    assert found["type_free"]["micro"] == weaker["exact_any_type"] and found["type_free"]["macro"] is None
    by_offsets = offset_scores(rows, LABELS, mode)
    assert by_offsets is not None
    assert {key: found["offsets"][key] for key in by_offsets} == by_offsets


@given(CORPUS, MODES)
@settings(max_examples=80, deadline=None)
def test_exact_is_seqeval(sentences: Pairs, mode: Mode) -> None:
    rows = rows_of(sentences)
    how = {"mode": "strict", "scheme": IOB2} if mode == "strict" else {}
    gold, pred = ([row[key] for row in rows] for key in ("gold", "pred"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [score(gold, pred, zero_division=0, **how) for score in (precision_score, recall_score, f1_score)]
    assert triple(read(sentences, "exact", mode)["micro"]) == pytest.approx(expected)


@given(CORPUS)
@settings(max_examples=80, deadline=None)
def test_tokens_are_counted_as_scikit_learn_does(sentences: Pairs) -> None:
    gold, pred = ([pair[side].split("-")[-1] for sentence in sentences for pair in sentence] for side in (0, 1))
    found = read(sentences, "token")
    with_gold = [label for label in LABELS if label in gold]
    for average, labels in (("micro", LABELS), ("macro", with_gold)):
        expected = token_scores(gold, pred, labels=labels, average=average, zero_division=0.0) if labels else (0, 0, 0)
        assert triple(found[average])[:2] == pytest.approx(expected[:2])
        assert found[average]["f1"] == pytest.approx(expected[2])


def test_strict_tokens_are_those_of_entities() -> None:
    sentence = [("B-Sign", "I-Sign"), ("I-Sign", "I-Sign"), ("O", "B-Disease"), ("O", "I-Sign")]
    assert read([sentence], "token", "strict")["counts"]["Sign"] == {"matched": 0, "pred": 0, "gold": 2}
    assert read([sentence], "token")["counts"]["Sign"] == {"matched": 2, "pred": 3, "gold": 2}


def nervaluate_scores(sentences: Pairs, mode: Mode) -> dict[str, list[float]]:
    sides: list[list[list[dict[str, Any]]]] = [
        [
            [
                {"label": label, "start": first, "end": last}
                for label, first, last in sorted(entities([pair[side] for pair in sentence], mode), key=lambda span: span[1])
            ]
            for sentence in sentences
        ]
        for side in (0, 1)
    ]
    overall = Evaluator(*sides, tags=LABELS, loader="dict").evaluate()["overall"]
    return {name: [result.precision, result.recall, result.f1] for name, result in overall.items()}


def overlaps_are_single(sentences: Pairs, mode: Mode) -> bool:
    """Whether each span overlaps at most one span of the other side. Then no pairing has to be chosen."""
    for sentence in sentences:
        sides = [entities([pair[side] for pair in sentence], mode) for side in (0, 1)]
        pairs = [(one, other) for one in sides[0] for other in sides[1] if overlap(one, other)]
        if any((a[0] == b[0]) != (a[1] == b[1]) for a, b in combinations(pairs, 2)):
            return False
    return True


@given(CORPUS, MODES)
@settings(max_examples=200, deadline=None)
def test_nervaluate_agrees_where_it_has_no_pairs_to_choose(sentences: Pairs, mode: Mode) -> None:
    """It pairs spans in their order, so with several overlaps it may find fewer pairs than there are."""
    theirs = nervaluate_scores(sentences, mode)
    partial = relaxed_scores(rows_of(sentences), LABELS, mode)["partial_any_type"]
    ours = {
        "strict": triple(read(sentences, "exact", mode)["micro"]),
        "exact": triple(read(sentences, "type_free", mode)["micro"]),
        "ent_type": triple(read(sentences, "relaxed", mode)["micro"]),
        "partial": triple(partial),
    }
    if overlaps_are_single(sentences, mode):
        assert ours == {name: pytest.approx(values) for name, values in theirs.items()}
    else:
        for name, values in theirs.items():
            assert all(mine >= other - 1e-9 for mine, other in zip(ours[name], values, strict=True)), name


def test_the_signature_names_the_reading() -> None:
    sentence = [("B-Sign", "B-Sign"), ("O", "O")]
    expected = {
        "exact": "unit:entity|match:exact|mode:strict|avg:macro|types:1/2",
        "relaxed": "unit:entity|match:relaxed|mode:strict|avg:macro|types:1/2",
        "type_free": "unit:entity|match:type_free|mode:strict|avg:micro|types:1",
        "token": "unit:token|match:token|mode:strict|avg:macro|types:1/2",
        "document": "unit:mention|match:document|mode:strict|avg:macro|types:1/2",
        "offsets": "unit:entity|match:offsets|mode:strict|avg:macro|types:0/2",
    }
    for match, words in expected.items():
        assert read([sentence], match, "strict")["signature"] == f"{words}|align:tokens|failed:0/1|docs:1|v2"


def test_failed_sentences_are_counted_in_every_reading() -> None:
    rows = rows_of([[("B-Sign", "O")], [("O", "O")]])
    rows[0]["error"] = "timeout"
    rows = [row | {"gold_mentions": []} for row in rows]
    for match in MATCHES:
        scores = score_reading(rows, LABELS, Metric(), match, alignment="tokens")
        assert (scores["failed"], scores["failures"], scores["sentences"], scores["documents"]) == (1, {"timeout": 1}, 2, 1)


def test_readings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="match=fuzzy is not known. Use one of exact, relaxed"):
        read([[("O", "O")]], "fuzzy")
    row = rows_of([[("O", "O")]])[0] | {"mentions": None}
    with pytest.raises(InputError, match="needs the annotators' character offsets"):
        score_reading([row], LABELS, Metric(), "offsets", alignment="tokens")
