"""Counts and scores against hand tables, against seqeval as an oracle, and by properties."""

from __future__ import annotations

import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from clinspan.metrics import add_counts, count_sentence, Counts, Scores
from clinspan.metrics.analysis import analyse
from clinspan.metrics.counts import entities, Mode
from clinspan.metrics.scores import averaged, signature, triple
from clinspan.metrics.scoring import Metric, score_records

LABELS = ["Sign", "Disease"]
TAG = st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])
SENTENCES = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=12), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("gold", "pred", "mode", "expected"),
    [
        ("B-Sign I-Sign O", "B-Sign I-Sign O", "conlleval", Counts(1, 1, 1)),
        ("B-Sign I-Sign O", "B-Sign O O", "conlleval", Counts(0, 1, 1)),
        ("B-Sign I-Sign O", "I-Sign I-Sign O", "conlleval", Counts(1, 1, 1)),
        ("B-Sign I-Sign O", "I-Sign I-Sign O", "strict", Counts(0, 0, 1)),
        ("B-Sign B-Sign O", "B-Sign I-Sign O", "conlleval", Counts(0, 1, 2)),
        ("O O O", "O O O", "conlleval", Counts(0, 0, 0)),
    ],
)
def test_hand_table(gold: str, pred: str, mode: Mode, expected: Counts) -> None:
    assert count_sentence(gold.split(), pred.split(), LABELS, mode)["Sign"] == expected


@settings(max_examples=400, deadline=None)
@given(SENTENCES, st.sampled_from(["conlleval", "strict"]))
def test_seqeval_gives_the_same_figures(rows: list[list[tuple[str, str]]], mode: Mode) -> None:
    gold = [[g for g, _ in row] for row in rows]
    pred = [[p for _, p in row] for row in rows]
    total = add_counts((count_sentence(g, p, LABELS, mode) for g, p in zip(gold, pred, strict=True)), LABELS)
    scores = Scores(total)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"mode": "strict", "scheme": IOB2} if mode == "strict" else {}
        try:
            report = classification_report(gold, pred, output_dict=True, zero_division=0, **options)
        except ValueError:  # seqeval cannot report on tags without a single entity
            assert not any(count.gold or count.pred for count in total.values())
            return
    for label in LABELS:
        expected = report.get(label, {"precision": 0, "recall": 0, "f1-score": 0, "support": 0})
        assert scores.per_type[label]["precision"] == pytest.approx(expected["precision"])
        assert scores.per_type[label]["recall"] == pytest.approx(expected["recall"])
        assert scores.per_type[label]["f1"] == pytest.approx(expected["f1-score"])
        assert scores.per_type[label]["support"] == expected["support"]
    assert scores.micro["f1"] == pytest.approx(report["micro avg"]["f1-score"])


@given(SENTENCES)
def test_order_and_doubling_change_no_score(rows: list[list[tuple[str, str]]]) -> None:
    tables = [count_sentence([g for g, _ in row], [p for _, p in row], LABELS, "conlleval") for row in rows]
    once = Scores(add_counts(tables, LABELS))
    again = Scores(add_counts([*reversed(tables), *tables], LABELS))
    assert again.macro == pytest.approx(once.macro)
    assert again.micro == pytest.approx(once.micro)


def test_macro_is_the_mean_over_labels_with_gold_found_or_not() -> None:
    scores = Scores({"Sign": Counts(1, 1, 1), "Age": Counts(0, 2, 0), "Disease": Counts(0, 0, 1), "Drug": Counts()})
    assert scores.macro == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert scores.macro_types == ["Sign", "Disease"]
    assert scores.micro["precision"] == pytest.approx(1 / 3)  # invented mentions of a type without gold count here
    assert Scores({"Age": Counts(0, 2, 0)}).macro == triple(Counts())


def test_the_number_of_averaged_types() -> None:
    assert averaged(["Sign"], ["Sign", "Age"]) == "1/2"
    assert averaged(["Sign", "Age"], ["Sign", "Age"]) == "2"
    assert averaged([], ["Sign"]) == "0/1"


def test_scores_as_a_record() -> None:
    scores = Scores({"Sign": Counts(1, 2, 4), "Disease": Counts(0.5, 1, 1)})
    sign, disease = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3}, {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert scores.as_dict() == {
        "per_type": {"Sign": {**sign, "support": 4}, "Disease": {**disease, "support": 1}},
        "macro": {"precision": 0.5, "recall": 0.375, "f1": pytest.approx((1 / 3 + 0.5) / 2)},
        "macro_types": ["Sign", "Disease"],
        "micro": {"precision": 0.5, "recall": pytest.approx(0.3), "f1": 0.375},
        "counts": {"Sign": {"matched": 1, "pred": 2, "gold": 4}, "Disease": {"matched": 0.5, "pred": 1, "gold": 1}},
    }
    assert triple(Counts(1, 2, 4)) == sign
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert Scores({}).macro == Scores({}).micro == triple(Counts()) == nothing
    assert triple(Counts(0, 1, 0)) == triple(Counts(0, 0, 1)) == nothing


def test_the_signature_names_every_setting() -> None:
    found = signature(mode="strict", types="4/5", alignment="tokens", failed=2, sentences=1735, documents=208)
    assert found == "unit:entity|match:exact|mode:strict|avg:macro|types:4/5|align:tokens|failed:2/1735|docs:208|v2"


def test_other_labels_and_hyphens_in_labels() -> None:
    """Labels that the corpus does not have are in no table; hyphens at the ends of a label belong to it in both modes."""
    gold, pred = ["B-Sign", "B-Age", "O"], ["B-Sign", "O", "B-Drug"]
    table = {"Sign": Counts(1, 1, 1), "Disease": Counts()}
    for mode in ("conlleval", "strict"):
        assert count_sentence(gold, pred, LABELS, mode) == table
    tables = [{"Sign": Counts(1, 1, 1), "Age": Counts(1, 1, 1)}, {"Disease": Counts(0, 1, 0)}]
    assert add_counts(tables, LABELS) == {"Sign": Counts(1, 1, 1), "Disease": Counts(0, 1, 0)}
    assert add_counts([], ["Sign"]) == {"Sign": Counts()}
    odd = ["-Sign-", "A-B", "0"]
    tags = [tag for label in odd for tag in (f"B-{label}", f"I-{label}")]
    spans = {(label, 2 * n, 2 * n + 1) for n, label in enumerate(odd)}
    assert entities(tags, "strict") == spans
    assert entities(["O", *tags, "O"], "strict") == {(label, a + 1, b + 1) for label, a, b in spans}
    assert entities(["B-A", "I-B", "I-A"], "strict") == {("A", 0, 0)}
    assert entities(["B-A", "I-B", "I-A"], "conlleval") == {("A", 0, 0), ("B", 1, 1), ("A", 2, 2)}


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 gold tags but 1 predicted"):
        count_sentence(["O", "O"], ["O"], LABELS, "conlleval")


def test_scoring_grows_in_proportion_to_labels() -> None:
    """A corpus with thousands of labels, such as the codes of a coding system, is scored in seconds."""
    labels = [f"L{n}" for n in range(10_000)]
    rows = []
    for n in range(200):
        gold, pred = [f"B-L{n * 7 % 9_000}", "O", f"B-L{n}"], [f"B-L{n * 7 % 9_000}", f"B-L{n}", "O"]
        about = {"id": f"d{n // 4}:{n}", "document": f"d{n // 4}", "tokens": ["a", "b", "c"]}
        rows.append({**about, "gold": gold, "pred": pred, "repairs": {}, "error": None})
    began = time.monotonic()
    scores = score_records(rows, labels, Metric(), alignment="tokens")
    analysis = analyse(rows, labels, "conlleval")
    assert time.monotonic() - began < 20
    assert scores["micro"]["f1"] == pytest.approx(0.5) and len(scores["per_type"]) == 10_000
    assert len(analysis["confusion"]) < 1_000
