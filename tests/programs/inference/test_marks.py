"""Tests that a mention without a letter or a digit is never an entity, whatever model tags it."""

from __future__ import annotations

import dspy
import numpy as np
import pytest

from clinspan import Tagger
from clinspan.corpora import Label, Sentence, Token
from clinspan.corpora.viterbi import Lattice
from clinspan.lms.classifiers.classifier import Reading
from clinspan.programs.formats import BioLines, Entities, Format
from clinspan.programs.inference.token_classifier import tagged
from support.scripted_engine import scripted

LABELS = (Label("Sign"),)
TOKENS = ["Rash", ".", "(", "itch", ")", "_"]


def answered(form: Format, answer: str) -> dspy.Prediction:
    with dspy.context(lm=scripted(lambda _: answer), adapter=form):
        return Tagger("Tag.")(tokens=TOKENS, id="d:0")


def test_marks_in_answers_are_no_mentions_and_counted() -> None:
    found = answered(Entities(labels=LABELS), '{"Sign": [".", "_", "( itch )"]}')
    assert found.tags == ["O", "O", "B-Sign", "I-Sign", "I-Sign", "O"]
    assert found.repairs["mention_without_letter"] == 2


def test_the_papers_scorer_kept_them() -> None:
    tags = "Rash : O\n. : B-Sign\n( : O\nitch : O\n) : O\n_ : O"
    assert answered(BioLines(labels=LABELS, alignment="positional"), tags).tags[1] == "B-Sign"
    assert answered(BioLines(labels=LABELS), tags).tags[1] == "O"


@pytest.mark.parametrize(("word", "tag"), [("rash", "B-Sign"), ("2", "B-Sign"), (".", "O"), ("...", "O")])
def test_a_classifier_tags_no_marks(word: str, tag: str) -> None:
    sentence = Sentence("d:0", "d", (Token(word, 0, len(word)),), ("O",))
    log_probs = np.log(np.array([[0.1, 0.8, 0.1]], dtype=np.float32))
    record = tagged(sentence, Reading(log_probs, 1), Lattice.of(("O", "B-Sign", "I-Sign")))
    assert record["pred"] == [tag]
    assert record["confidence"][0] == pytest.approx(0.8 / 0.9 if tag != "O" else 0.1 / 0.9)
