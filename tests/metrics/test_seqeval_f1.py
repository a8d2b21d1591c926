"""The DSPy metric against seqeval, and its score and feedback for one sentence."""

from __future__ import annotations

import warnings
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from clinspan.corpora import InputError, Sentence, Token
from clinspan.metrics import Counts
from clinspan.metrics.seqeval_f1 import examples, sentence_score, SeqevalF1

TAG = st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"])
ROWS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=9), min_size=1, max_size=6)
DEFINITIONS = {"Sign": "what can be seen", "Disease": "an illness"}


@settings(max_examples=150, deadline=None)
@given(ROWS, st.sampled_from(["conlleval", "strict"]), st.sampled_from(["micro", "macro"]))
def test_the_f1_of_a_corpus_is_seqevals(rows: list[list[tuple[str, str]]], mode: Any, target: Any) -> None:
    """With a sentence that has both labels, so that seqeval's macro mean is over both."""
    rows = [*rows, [("B-Sign", "O"), ("B-Disease", "O")]]
    gold, pred = ([[pair[side] for pair in row] for row in rows] for side in (0, 1))
    options = {"mode": "strict", "scheme": IOB2} if mode == "strict" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = f1_score(gold, pred, average=target, zero_division=0, **options)
    metric = SeqevalF1(("Sign", "Disease"), mode, target)
    assert metric.corpus_f1(list(zip(gold, pred))) == pytest.approx(expected)
    assert isinstance(metric.corpus_f1([]), float)


def test_other_labels_and_labels_without_gold_do_not_count() -> None:
    pairs = [(["B-Sign", "B-Drug"], ["B-Sign", "B-Age"])]
    assert SeqevalF1(("Sign", "Disease"), target="macro").corpus_f1(pairs) == 1.0
    assert SeqevalF1(("Sign", "Disease")).corpus_f1(pairs) == 1.0
    assert SeqevalF1(("Sign", "Age")).corpus_f1(pairs) == pytest.approx(2 / 3)  # in micro, an invented Age counts
    assert SeqevalF1(("Sign",)).counts(*pairs[0]) == {"Sign": Counts(1, 1, 1)}


def test_defaults_and_an_unknown_target() -> None:
    metric = SeqevalF1(("Sign",))
    assert (metric.mode, metric.target, metric.definitions, metric.called) == ("conlleval", "micro", {}, {})
    with pytest.raises(InputError, match="^target=f1 is not known. Use micro or macro.$"):
        SeqevalF1(("Sign",), target="f1")  # type: ignore[arg-type]


def example(tokens: str, tags: str) -> dspy.Example:
    return dspy.Example(tokens=tokens.split(), tags=tags.split()).with_inputs("tokens")


@pytest.mark.parametrize(
    ("gold", "pred", "plain", "traced"),
    [
        ("O O", "O O", 1.0, 0.0),
        ("O O", "B-Sign O", 2 / 3, 0.0),
        ("B-Sign O", "B-Sign O", 1.0, 1.0),
        ("B-Sign O", "B-Sign B-Disease", 0.8, 0.8),
        ("B-Sign B-Sign", "O O", 0.5, 0.5),
    ],
)
def test_the_score_of_a_sentence(gold: str, pred: str, plain: float, traced: float) -> None:
    """Without gold entities a sentence is no demonstration: it scores 0 where demonstrations are collected."""
    metric = SeqevalF1(("Sign", "Disease"))
    prediction = dspy.Prediction(tags=pred.split())
    assert metric(example("a b", gold), prediction) == pytest.approx(plain)
    assert metric(example("a b", gold), prediction, trace=[]) == pytest.approx(traced)
    assert metric.with_feedback(example("a b", gold), prediction).score == pytest.approx(plain)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_the_score_of_a_sentence_is_the_f1_with_one_more_right_entity(matched: int, invented: int, missed: int) -> None:
    counts = Counts(matched, matched + invented, matched + missed)
    assert sentence_score(counts) == pytest.approx((counts + Counts(1, 1, 1)).f1)


def test_feedback_names_types_as_prompts_do_and_defines_them() -> None:
    metric = SeqevalF1(("Sign", "Disease"), "strict", definitions=DEFINITIONS, called={"Sign": "finding"})
    found = metric.with_feedback(example("Mild fever", "O B-Sign"), dspy.Prediction(tags=["O", "B-Disease"]))
    assert found.feedback.splitlines() == [
        "0 of 1 entities right, 1 error:",
        '- Typed wrongly: "fever" is finding but was tagged Disease.',
        "  finding: what can be seen",
    ]
    reverse = metric.with_feedback(example("Mild fever", "O B-Disease"), dspy.Prediction(tags=["O", "B-Sign"]))
    assert reverse.feedback.splitlines()[1] == '- Typed wrongly: "fever" is Disease but was tagged finding.'
    orphan = metric.with_feedback(example("Mild fever", "O O"), dspy.Prediction(tags=["O", "I-Sign"]))
    assert (orphan.score, orphan.feedback) == (1.0, "Right: there is no entity, and none was tagged.")
    lenient = SeqevalF1(("Sign",)).with_feedback(example("Mild fever", "O O"), dspy.Prediction(tags=["O", "I-Sign"]))
    assert '- Invented: "fever" was tagged Sign' in lenient.feedback and lenient.score == pytest.approx(2 / 3)
    missed = metric.with_feedback(example("old age", "B-Disease O"), dspy.Prediction(tags=["O", "O"]), None, "tag", [])
    assert missed.feedback.endswith("  Disease: an illness")


def test_a_prediction_without_tags_has_no_entities() -> None:
    found = SeqevalF1(("Sign",)).with_feedback(example("Mild fever", "O B-Sign"), dspy.Prediction(text="?"))
    assert found.score == pytest.approx(2 / 3)
    assert found.feedback.splitlines()[1] == '- Missed: "fever" is Sign.'


def test_examples_have_inputs_and_the_expected_tags() -> None:
    tokens = (Token("Mild", 0, 4), Token("fever", 5, 10))
    sentence = Sentence(id="d:0", document="d", tokens=tokens, tags=("O", "B-Sign"))
    (found,) = examples([sentence])
    assert dict(found.inputs()) == {"id": "d:0", "tokens": ["Mild", "fever"]}
    assert dict(found.labels()) == {"tags": ["O", "B-Sign"]}
