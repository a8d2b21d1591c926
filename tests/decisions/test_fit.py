"""Tests of fitting `Decisions`, on made-up probabilities whose right decision is known."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from clinspan.decisions.fit import fit_decisions, FitSettings, Fitted, ScoredSentence
from clinspan.decisions.rule import Decisions, NONE, Phrase

LABELS = ("Disease", "Sign")
OFFSETS = FitSettings(regression=False)
REGRESSION = FitSettings()


def made_up(count: int, *, shift: float = 3.0, signal: float = 2.0, seed: int = 0) -> list[ScoredSentence]:
    """Sentences of four phrases of one word, a quarter of them mentions, half of these signs.

    The model prefers the right class by `signal` nats, but every type by `shift` nats over none, so that its own decisions are bad.
    """
    rng = random.Random(seed)
    sentences = []
    for number in range(count):
        gold, phrases = [], []
        for place in range(4):
            right = rng.choice(["Disease", "Sign", *[NONE] * 6])
            scores = {name: rng.gauss(0, 0.7) + (signal if name == right else 0) for name in (*LABELS, NONE)}
            scores = {name: value + (0 if name == NONE else shift) for name, value in scores.items()}
            norm = math.log(sum(map(math.exp, scores.values())))
            types = {name: value - norm for name, value in scores.items()}
            phrases.append(Phrase(place, place + 1, 1, types, {"phrase": -1.0, "ending": -0.5, "typed": -0.1}))
            gold += [(place, place + 1, right)] if right != NONE else []
        sentences.append(ScoredSentence(f"d{number // 5}:{number % 5}", f"d{number // 5}", gold, phrases))
    return sentences


def f1(sentences: list[ScoredSentence], found: dict[str, set[tuple[int, int, str]]]) -> float:
    gold = {sentence.id: set(sentence.gold) for sentence in sentences}
    matched = sum(len(gold[name] & found[name]) for name in gold)
    return 2 * matched / max(1, sum(map(len, gold.values())) + sum(map(len, found.values())))


def decided(sentences: list[ScoredSentence], decisions: Decisions) -> dict[str, set[tuple[int, int, str]]]:
    return {s.id: {(p.start, p.end, label) for p, label, _ in decisions.choose(s.phrases)} for s in sentences}


def held_out(fitted: Fitted) -> dict[str, set[tuple[int, int, str]]]:
    return {name: {mention[:3] for mention in mentions} for name, mentions in fitted.predictions.items()}


@pytest.mark.parametrize("settings", [OFFSETS, REGRESSION])
def test_a_fit_undoes_the_models_preference_on_sentences_it_has_not_seen(settings: FitSettings) -> None:
    seen, new = made_up(120), made_up(120, seed=1)
    fitted = fit_decisions(seen, LABELS, settings)
    before = f1(new, decided(new, Decisions(threshold=0.0)))
    after = f1(new, decided(new, fitted.decisions))
    assert before < 0.45
    assert after > before + 0.3
    assert f1(seen, held_out(fitted)) == pytest.approx(after, abs=0.1), "out of fold tells what new sentences show"


def test_each_type_is_predicted_as_often_as_the_rate_says() -> None:
    sentences = made_up(200)
    gold = Counter(label for sentence in sentences for _, _, label in sentence.gold)
    for rate in (0.5, 1.0):
        fitted = fit_decisions(sentences, LABELS, FitSettings(regression=False, rates=(rate,), lengths=(0.0,)))
        found = Counter(label for mentions in decided(sentences, fitted.decisions).values() for _, _, label in mentions)
        assert fitted.rate == rate
        assert {label: found[label] / gold[label] for label in LABELS} == pytest.approx(dict.fromkeys(LABELS, rate), abs=0.12)


@pytest.mark.parametrize("settings", [OFFSETS, REGRESSION])
def test_what_does_not_hang_together_is_not_learnt_out_of_fold(settings: FitSettings) -> None:
    fitted = fit_decisions(made_up(120, signal=0.0), LABELS, settings)
    assert f1(made_up(120, signal=0.0), held_out(fitted)) < 0.3


def test_confidences_of_the_regression_are_probabilities() -> None:
    new = made_up(400, seed=2)
    fitted = fit_decisions(made_up(200), LABELS, REGRESSION)
    chosen = [(mention, sentence) for sentence in new for mention in fitted.decisions.choose(sentence.phrases)]
    right = [(phrase.start, phrase.end, label) in set(sentence.gold) for (phrase, label, _), sentence in chosen]
    assert sum(p for (_, _, p), _ in chosen) / len(chosen) == pytest.approx(sum(right) / len(right), abs=0.07)


@pytest.mark.parametrize("settings", [OFFSETS, REGRESSION])
def test_a_label_without_mentions_and_sentences_without_phrases_do_no_harm(settings: FitSettings) -> None:
    sentences = [*made_up(60), ScoredSentence("e:0", "e", [(0, 1, "Sign")], []), ScoredSentence("f:0", "f", [], [])]
    phrase = sentences[0].phrases[0]
    types = {**phrase.types, "Ghost": -9.0}
    sentences = [
        ScoredSentence(
            s.id,
            s.document,
            s.gold,
            [Phrase(p.start, p.end, 1, {**p.types, "Ghost": types["Ghost"]}, p.model) for p in s.phrases],
        )
        for s in sentences
    ]
    fitted = fit_decisions(sentences, (*LABELS, "Ghost"), settings)
    labels = {label for mentions in decided(sentences, fitted.decisions).values() for _, _, label in mentions}
    assert labels == set(LABELS)
    assert set(fitted.predictions) == {sentence.id for sentence in sentences}


def test_the_same_seed_gives_the_same_fit() -> None:
    assert fit_decisions(made_up(50), LABELS, REGRESSION) == fit_decisions(made_up(50), LABELS, REGRESSION)
