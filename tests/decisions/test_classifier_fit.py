"""Decisions of token classifiers, on made-up probabilities whose right decision is known."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clinspan.corpora import Sentence, Token
from clinspan.corpora.bio import bio_classes, tag_spans
from clinspan.corpora.viterbi import Floats, Lattice
from clinspan.corpora.words import Words
from clinspan.decisions import Decisions, fit_classifier_decisions, NONE, SpanDecider, TrainCounts

LABELS = ("Disease", "Sign")
CLASSES = bio_classes(LABELS)
LATTICE = Lattice.of(CLASSES)


def table(rows: list[dict[str, float]]) -> Floats:
    """Logarithms of probabilities; what a row does not name is shared by its other classes."""
    found = []
    for row in rows:
        rest = (1 - sum(row.values())) / (len(CLASSES) - len(row))
        found.append([math.log(row.get(name, rest)) for name in CLASSES])
    return np.array(found)


def _normal(scores: Floats) -> Floats:
    """Logarithms of probabilities from scores."""
    normal: Floats = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return normal


def made_up(
    count: int, *, outside: float, signal: float = 2.0, seed: int = 0, words: bool = False
) -> tuple[list[Sentence], list[Floats]]:
    """Sentences of four tokens, a quarter of them mentions of one token, and probabilities for them.

    The logarithm of the right tag is higher by `signal`, and that of `O` too high by `outside`. With `words`, mentions are words
    that no other token is.
    """
    rng = random.Random(seed)
    sentences, tables = [], []
    for number in range(count):
        tags = [rng.choice(["B-Disease", "B-Sign", *["O"] * 6]) for _ in range(4)]
        logs = np.array(
            [[rng.gauss(0, 0.6) + signal * (name == tag) + outside * (name == "O") for name in CLASSES] for tag in tags]
        )
        tables.append(_normal(logs))
        named = [f"{tag}{rng.randrange(3)}" if words else "word" for tag in tags]
        tokens = tuple(Token(word, 20 * n, 20 * n + len(word)) for n, word in enumerate(named))
        sentences.append(Sentence(f"d{number // 5}:{number % 5}", f"d{number // 5}", tokens, tuple(tags)))
    return sentences, tables


def test_phrases_are_the_possible_mentions_with_what_the_model_says() -> None:
    rows = [{"O": 0.9}, {"B-Sign": 0.6, "O": 0.3}, {"I-Sign": 0.5, "O": 0.4}, {"O": 0.99}]
    scores = table(rows)
    phrases = SpanDecider(LATTICE, LABELS).phrases(scores, Words(["a", "skin", "rash", "."]))
    exact = LATTICE.mentions(scores, 0.0)
    by_span = {(phrase.start, phrase.end): phrase for phrase in phrases}
    assert {(1, 2), (1, 3)} <= by_span.keys()
    assert all(sum(exact[span].values()) >= 0.01 for span in by_span)
    assert not any(span == (3, 4) for span in by_span), "a mark alone is no phrase"
    rash = by_span[1, 3]
    assert rash.types["Sign"] == pytest.approx(math.log(exact[1, 3]["Sign"]))
    assert rash.types[NONE] == pytest.approx(math.log(1 - sum(exact[1, 3].values())))
    assert rash.model["before"] == pytest.approx(math.log(0.1))
    assert rash.model["behind"] == pytest.approx(math.log(0.01))
    assert rash.model["inside"] == pytest.approx((math.log(0.7) + math.log(0.6)) / 2)


def test_lower_offsets_give_fewer_mentions_and_each_token_a_confidence() -> None:
    scores = table([{"O": 0.5, "B-Sign": 0.4}, {"O": 0.999}])
    words = Words(["rash", "now"])
    many, few = (SpanDecider(LATTICE, LABELS, Decisions(threshold=value)) for value in (1.0, -1.0))
    tags, confidence = many.tags(scores, words)
    assert tags == ["B-Sign", "O"]
    assert confidence[1] == pytest.approx(0.999)
    assert confidence[0] == pytest.approx(LATTICE.mentions(scores, 0.0)[0, 1]["Sign"])
    tags, confidence = few.tags(scores, words)
    assert tags == ["O", "O"]
    assert confidence[0] == pytest.approx(1 - sum(LATTICE.mentions(scores, 0.0)[0, 1].values()))
    assert SpanDecider(LATTICE, LABELS).tags(np.zeros((0, 5)), Words()) == ([], [])


def test_decisions_mend_a_classifier_that_finds_too_few_mentions() -> None:
    dev, tables = made_up(160, outside=3.0)
    fitted = fit_classifier_decisions(LATTICE, LABELS, dev, tables, least=60)
    assert fitted is not None
    assert fitted.decisions is not None
    assert max(fitted.f1["offsets"], fitted.f1["regression"]) > fitted.f1["tags"] + 0.1
    assert not fitted.counted
    test, of_test = made_up(160, outside=3.0, seed=1)
    decider = SpanDecider(LATTICE, LABELS, fitted.decisions)
    found = [decider.tags(scores, Words.of(one))[0] for one, scores in zip(test, of_test)]
    right = sum(len({*tag_spans(one.tags)} & {*tag_spans(tags)}) for one, tags in zip(test, found))
    size = sum(len(tag_spans(one.tags)) + len(tag_spans(tags)) for one, tags in zip(test, found))
    assert 2 * right / size == pytest.approx(max(fitted.f1.values()), abs=0.1)


def test_the_most_probable_tags_stay_where_decisions_are_no_better() -> None:
    dev, tables = made_up(160, outside=0.0)
    sure = [np.where(np.array([[name == tag for name in CLASSES] for tag in one.tags]), -1e-3, -9.0) for one in dev]
    fitted = fit_classifier_decisions(LATTICE, LABELS, dev, [_normal(row) for row in sure], least=60)
    assert fitted is not None
    assert (fitted.decisions, fitted.counted, fitted.f1["tags"]) == (None, False, 1.0)
    assert fit_classifier_decisions(LATTICE, LABELS, dev, tables) is None, "few mentions"
    one = [replace(sentence, document="d") for sentence in dev]
    assert fit_classifier_decisions(LATTICE, LABELS, one, tables, least=60) is None, "one document"
    assert fit_classifier_decisions(LATTICE, LABELS, [], []) is None


def test_counts_of_train_are_weighed_if_they_help() -> None:
    train, _ = made_up(160, outside=0.0, words=True)
    dev, tables = made_up(160, outside=0.0, signal=1.0, seed=1, words=True)
    counts = TrainCounts(train, LABELS)
    how: dict[str, Any] = {"counts": counts, "least": 60, "seed": 3}
    fitted = fit_classifier_decisions(LATTICE, LABELS, dev, tables, **how)
    assert fitted is not None
    assert fitted.decisions is not None
    assert fitted.counted
    assert fitted.f1["regression with counts of train"] > fitted.f1["regression"] + 0.05
    assert any("same:" in name for row in fitted.decisions.weights.values() for name in row)
    assert fitted == fit_classifier_decisions(LATTICE, LABELS, dev, tables, **how)
