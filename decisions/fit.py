"""Fits `Decisions` to phrases with gold types: a logistic regression, and offsets by rate matching, both cross-fitted.

Offsets are set such that every type is predicted `rate` times as often as it occurs in gold. Only the rate and the weight of length
are chosen by F1, from a few values, so that a type with a handful of mentions cannot be given up for the others. What a fit is
worth is measured on documents that it has not seen: `Fitted.predictions` are out of fold.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clinspan.decisions.rule import best_set, Decisions, NONE, Phrase
from clinspan.metrics.confidence_map import platt

Floats = NDArray[np.float64]
_STEPS = (1.0,) * 8 + (0.5,) * 8 + (0.25,) * 4
_LARGEST = 1.5
_PRIOR = 0.5
Mention = tuple[int, int, str, float]
"""First token, the token behind the last one, label, and the confidence in it."""
_SMOOTHING = 2.0
"""Added to the denominators of F1, so that types with few mentions do not decide about the settings."""


@dataclass(frozen=True)
class ScoredSentence:
    """A sentence with the model's probabilities.

    Attributes:
        id: Its id.
        document: Its document.
        gold: Its mentions: first token, the token behind the last one, label.
        phrases: Its candidate phrases.
    """

    id: str
    document: str
    gold: Sequence[tuple[int, int, str]]
    phrases: Sequence[Phrase]


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How decisions are fitted.

    Attributes:
        regression: Whether the model's probabilities are mapped by a logistic regression.
        model: Whether the regression sees the model's probabilities; False: only the number of words, counts of train and names.
        strength: Inverse of the regression's L2 regularization, on standardized features.
        rates: Values of the rate to choose from.
        lengths: Values of `Decisions.length` to choose from.
        folds: Number of folds of documents.
        seed: Seed of the division into folds.
    """

    regression: bool = True
    model: bool = True
    strength: float = 1.0
    rates: Sequence[float] = (0.7, 1.0, 1.4)
    lengths: Sequence[float] = (0.0, 0.25, 0.5)
    folds: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """A fit.

    Attributes:
        decisions: Fitted to all sentences.
        predictions: For each sentence, by id, the mentions that parameters fitted to other documents give.
        rate: The rate that was chosen.
    """

    decisions: Decisions
    predictions: Mapping[str, Sequence[Mention]]
    rate: float


def fit_decisions(sentences: Sequence[ScoredSentence], labels: Sequence[str], settings: FitSettings) -> Fitted:
    """Fit the parameters of the decision.

    Args:
        sentences: Sentences of several documents, none of which is a demonstration of the prompt.
        labels: Names of the labels.
        settings: How to fit.
    """
    table = _Table(sentences, labels, model=settings.model)
    folds = _folds([sentence.document for sentence in sentences], settings)
    held_out = table.model_logprobs.copy()
    predictions: dict[str, list[Mention]] = {sentence.id: [] for sentence in sentences}
    for held in folds:
        others = [fold for fold in folds if fold is not held]
        seen = [number for fold in others for number in fold]
        logprobs = _held_out(table, others, settings)
        _put(table, logprobs, held, seen, settings)
        offsets, length, _ = _fit_offsets(table, logprobs, seen, settings)
        for number, row, label in _mentions(table, logprobs, held, offsets, length):
            phrase = table.phrases[row]
            mention = phrase.start, phrase.end, labels[label], math.exp(logprobs[row, label])
            predictions[sentences[number].id].append(mention)
        rows = table.rows_of(held)
        held_out[rows] = logprobs[rows]
    everything = range(len(sentences))
    offsets, length, rate = _fit_offsets(table, held_out, everything, settings)
    weights = _regression(table, everything, settings) if settings.regression else {}
    named = {label: round(float(value), 4) for label, value in zip(labels, offsets, strict=True)}
    slope, intercept = _calibration(sentences, predictions)
    decisions = Decisions(offsets=named, length=length, weights=weights, slope=slope, intercept=intercept)
    return Fitted(decisions, _confident(predictions, decisions), rate)


def _calibration(sentences: Sequence[ScoredSentence], predictions: Mapping[str, Sequence[Mention]]) -> tuple[float, float]:
    """Slope and intercept that make confidences of the probabilities of held-out mentions; 1 and 0 if all are right or wrong."""
    right = {sentence.id: set(sentence.gold) for sentence in sentences}
    judged = [(found[3], found[:3] in right[name]) for name, mentions in predictions.items() for found in mentions]
    return platt(judged) if len({correct for _, correct in judged}) == 2 else (1.0, 0.0)


def _confident(predictions: Mapping[str, Sequence[Mention]], decisions: Decisions) -> dict[str, list[Mention]]:
    """Predictions with confidences instead of probabilities."""
    return {name: [(*found[:3], decisions.confidence(found[3])) for found in mentions] for name, mentions in predictions.items()}


class _Table:
    """The phrases of all sentences as arrays."""

    def __init__(self, sentences: Sequence[ScoredSentence], labels: Sequence[str], *, model: bool) -> None:
        self.sentences, self.labels, self.model = sentences, list(labels), model
        self.classes = [*labels, NONE]
        self.phrases = [phrase for sentence in sentences for phrase in sentence.phrases]
        self.sentence_of = np.array([n for n, sentence in enumerate(sentences) for _ in sentence.phrases], dtype=int)
        gold = [{(start, end): label for start, end, label in sentence.gold} for sentence in sentences]
        names = [gold[n].get((p.start, p.end), NONE) for n, p in zip(self.sentence_of, self.phrases, strict=True)]
        self.targets = np.array([self.classes.index(name) for name in names], dtype=int)
        self.further_words = np.array([phrase.words - 1 for phrase in self.phrases], dtype=float)

    @cached_property
    def model_logprobs(self) -> Floats:
        """Logarithms of the model's own probabilities, shape (phrases, classes)."""
        return np.array([[phrase.types[name] for name in self.classes] for phrase in self.phrases]).reshape(-1, len(self.classes))

    @cached_property
    def feature_names(self) -> list[str]:
        return list(self.phrases[0].features(model=self.model)) if self.phrases else []

    @cached_property
    def features(self) -> Floats:
        """Shape (phrases, features)."""
        rows = [phrase.features(model=self.model) for phrase in self.phrases]
        return np.array([[row[name] for name in self.feature_names] for row in rows]).reshape(-1, len(self.feature_names))

    def rows_of(self, numbers: Sequence[int] | range) -> NDArray[np.intp]:
        """Rows of the phrases of these sentences."""
        return np.flatnonzero(np.isin(self.sentence_of, np.fromiter(numbers, dtype=int)))

    def gold_counts(self, numbers: Sequence[int] | range) -> Floats:
        """Number of mentions of each label in these sentences, those that are no candidate included."""
        counts = Counter(label for number in numbers for _, _, label in self.sentences[number].gold)
        return np.array([counts[label] for label in self.labels], dtype=float)


def _folds(documents: Sequence[str], settings: FitSettings) -> list[list[int]]:
    """Numbers of the sentences of each fold; a document is in one fold."""
    names = sorted(set(documents))
    random.Random(settings.seed).shuffle(names)
    place = {name: number % settings.folds for number, name in enumerate(names)}
    folds = [[n for n, name in enumerate(documents) if place[name] == fold] for fold in range(settings.folds)]
    return [fold for fold in folds if fold]


def _held_out(table: _Table, folds: Sequence[Sequence[int]], settings: FitSettings) -> Floats:
    """Logarithms of probabilities of the regression for the sentences of these folds, each by a fit to the other ones of them.

    Without a regression they are the model's own.
    """
    logprobs = table.model_logprobs.copy()
    if len(folds) == 1:  # divided by document, so that there are other ones
        documents = [table.sentences[number].document for number in folds[0]]
        folds = [[folds[0][place] for place in fold] for fold in _folds(documents, settings)]
    for held in folds:
        seen = [number for fold in folds if fold is not held for number in fold]
        _put(table, logprobs, held, seen, settings)
    return logprobs


def _put(table: _Table, logprobs: Floats, held: Sequence[int], seen: Sequence[int], settings: FitSettings) -> None:
    """Replace the rows of some sentences by the logarithms of probabilities of the regression that is fitted to others."""
    if not settings.regression or not seen:
        return
    weights = _regression(table, seen, settings)
    if not weights:
        return
    rows = table.rows_of(held)
    by_class = np.array([[weights[name].get(feature, 0.0) for feature in table.feature_names] for name in table.classes])
    sums = table.features[rows] @ by_class.T
    logprobs[rows] = sums - np.logaddexp.reduce(sums, axis=1, keepdims=True)


def _regression(table: _Table, numbers: Sequence[int] | range, settings: FitSettings) -> dict[str, dict[str, float]]:
    """Weights by class and feature, for the features as they are.

    A class that these sentences lack gets the model's own probability, below all others.
    """
    from sklearn.linear_model import LogisticRegression

    rows = table.rows_of(numbers)
    found = np.unique(table.targets[rows])
    if len(found) < 2:
        return {}
    features = table.features[rows]
    means, spreads = features.mean(0), features.std(0)
    spreads[spreads < 1e-6] = 1.0
    regression = LogisticRegression(C=settings.strength, max_iter=1000)
    regression.fit((features - means) / spreads, table.targets[rows])
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(found) == 2:  # scikit-learn gives the second class alone
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.array([-intercepts[0], intercepts[0]]) / 2
    weights: dict[str, dict[str, float]] = {}
    for place, number in enumerate(found):
        own = coefficients[place] / spreads
        row = {name: round(float(value), 6) for name, value in zip(table.feature_names, own, strict=True)}
        row["bias"] = round(float(intercepts[place] - (coefficients[place] * means / spreads).sum()), 6)
        weights[table.classes[number]] = row
    absent = {name: {"bias": -30.0} for name in table.classes if name not in weights}
    return weights | absent


def _fit_offsets(
    table: _Table, logprobs: Floats, numbers: Sequence[int] | range, settings: FitSettings
) -> tuple[Floats, float, float]:
    """Offsets, length and rate with the best F1 on these sentences, half micro and half macro."""
    best: tuple[float, Floats, float, float] | None = None
    gold = table.gold_counts(numbers)
    for length in settings.lengths:
        for rate in settings.rates:
            offsets = _matched(table, logprobs, numbers, gold, rate=rate, length=length)
            value = _value(table, gold, list(_mentions(table, logprobs, numbers, offsets, length)))
            if best is None or value > best[0]:
                best = value, offsets, length, rate
    assert best is not None
    return best[1:]


def _matched(
    table: _Table, logprobs: Floats, numbers: Sequence[int] | range, gold: Floats, *, rate: float, length: float
) -> Floats:
    """Offsets with which each type is predicted `rate` times as often as in gold, as nearly as steps of a quarter reach."""
    offsets = np.full(len(table.labels), -2.0)
    goal = rate * (gold + _PRIOR)
    for step in _STEPS:
        predicted = np.zeros(len(table.labels))
        for _, _, label in _mentions(table, logprobs, numbers, offsets, length):
            predicted[label] += 1
        offsets += step * np.clip(np.log(goal / (predicted + _PRIOR)), -_LARGEST, _LARGEST)
    return offsets


def _value(table: _Table, gold: Floats, mentions: Sequence[tuple[int, int, int]]) -> float:
    """F1, half micro and half macro, times 2."""
    matched, predicted = np.zeros(len(table.labels)), np.zeros(len(table.labels))
    for _, row, label in mentions:
        predicted[label] += 1
        matched[label] += table.targets[row] == label
    by_type = 2 * matched / (predicted + gold + _SMOOTHING)
    return float(by_type.mean() + 2 * matched.sum() / max(1.0, (predicted + gold).sum()))


def _mentions(
    table: _Table, logprobs: Floats, numbers: Sequence[int] | range, offsets: Floats, length: float
) -> Iterator[tuple[int, int, int]]:
    """What `Decisions.select` gives, for many sentences: number of the sentence, row of the phrase, number of the label."""
    rows = table.rows_of(numbers)
    shifted = logprobs[rows, :-1] + offsets
    types = shifted.argmax(1)
    gains = shifted[np.arange(len(rows)), types] - logprobs[rows, -1]
    by_sentence: dict[int, list[int]] = {}
    for positive in np.flatnonzero(gains > 0).tolist():
        by_sentence.setdefault(int(table.sentence_of[rows[positive]]), []).append(positive)
    for number, among in by_sentence.items():
        spans = {place: (table.phrases[rows[place]].start, table.phrases[rows[place]].end) for place in among}
        values = {place: float(gains[place] + length * table.further_words[rows[place]]) for place in among}
        for place in best_set(spans, values):
            yield number, int(rows[place]), int(types[place])
