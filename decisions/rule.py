"""From the probabilities of phrases to mentions: the parameters of the decision, and the best set of phrases without overlap."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from clinspan.corpora import InputError
from clinspan.metrics.confidence_map import scaled

NONE = "None"
"""What prompts, answers and parameters call a phrase without a type."""
_SCALARS = ("length", "threshold", "slope", "intercept")
_LARGEST = 1e6
_REMEDY = "Use what optimizer=decisions wrote, or leave it out."


@dataclass(frozen=True, slots=True)
class Phrase:
    """A candidate phrase, and what a model says about it as logarithms of probabilities.

    Attributes:
        start: Its first token.
        end: The token behind its last one.
        words: Number of its words.
        types: For each type, and `None`, that it is one, if it is one of them.
        model: What else the model says, by a name for each.
        further: What `TrainCounts` and `NameLookup` say about it; empty where decisions weigh the model's probabilities alone.
    """

    start: int
    end: int
    words: int
    types: Mapping[str, float]
    model: Mapping[str, float]
    further: Mapping[str, float] = field(default_factory=dict)

    def features(self, *, model: bool = True) -> dict[str, float]:
        """What `Decisions.weights` apply to; without `model`, only the number of words and what is not the model's."""
        sizes = {f"words:{size}": float(self.words == size) for size in (1, 2, 3)}
        own = {**{f"type:{name}": value for name, value in self.types.items()}, **self.model} if model else {}
        return {**own, "bias": 1.0, **sizes, **self.further}


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """How probabilities become mentions.

    Each phrase has a probability for every type and for none: those of the model or, with `weights`, those of a logistic regression
    on `Phrase.features`. A phrase may be a mention of the type whose logarithm plus offset is the highest, if that exceeds the one
    of no type. Of overlapping phrases the set with the highest sum is taken, where each phrase counts the lead of its type over no
    type, and `length` for each of its words after the first.

    Attributes:
        offsets: Added to the logarithm for a type, in nats; a type that is not named has `threshold`.
        length: What each further word of a phrase adds to its lead, in nats.
        threshold: The offset of types that `offsets` does not name, in nats.
        weights: Weights of the regression by type (or `None`) and feature; empty: the model's own probabilities.
        slope: Factor of the log-odds of a mention's probability, which gives its confidence.
        intercept: Added to them.
        fingerprint: The prompt and the model that the parameters were fitted to; empty: any.
    """

    offsets: Mapping[str, float] = field(default_factory=dict)
    length: float = 0.5
    threshold: float = -2.0
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    slope: float = 1.0
    intercept: float = 0.0
    fingerprint: str = ""

    def logprobs(self, phrase: Phrase) -> dict[str, float]:
        """Logarithms of the probabilities of the types, and of none."""
        if not self.weights:
            return dict(phrase.types)
        features = phrase.features()
        sums = {
            name: math.fsum(weight * features.get(feature, 0.0) for feature, weight in self.weights.get(name, {}).items())
            for name in phrase.types
        }
        most = max(sums.values())
        norm = most + math.log(math.fsum(math.exp(value - most) for value in sums.values()))
        return {name: value - norm for name, value in sums.items()}

    def choose(
        self, phrases: Sequence[Phrase], scored: Sequence[Mapping[str, float]] | None = None
    ) -> list[tuple[Phrase, str, float]]:
        """The phrases that are mentions, with their types and the confidence in them, from left to right.

        Args:
            phrases: The phrases.
            scored: What `logprobs` gives for each of them, if it is known already.
        """
        scored = [self.logprobs(phrase) for phrase in phrases] if scored is None else scored
        found = self.select(phrases, scored)
        return [(phrases[number], name, self.confidence(math.exp(scored[number][name]))) for number, name in found]

    def confidence(self, probability: float) -> float:
        """How likely a chosen mention is right, from the probability of its type: Platt scaling (Platt 1999)."""
        if (self.slope, self.intercept) == (1.0, 0.0):
            return probability
        return scaled(probability, self.slope, self.intercept)

    def select(self, phrases: Sequence[Phrase], scored: Sequence[Mapping[str, float]]) -> list[tuple[int, str]]:
        """The numbers of the phrases that are mentions, with their types, from left to right.

        Args:
            phrases: The phrases.
            scored: For each of them the logarithms of the probabilities of the types, and of none.
        """
        types: dict[int, str] = {}
        values: dict[int, float] = {}
        for number, row in enumerate(scored):
            shifted = {name: value + self.offsets.get(name, self.threshold) for name, value in row.items() if name != NONE}
            best = max(shifted, key=lambda name: shifted[name])
            if (gain := shifted[best] - row[NONE]) > 0:
                types[number] = best
                values[number] = gain + self.length * (phrases[number].words - 1)
        spans = {number: (phrases[number].start, phrases[number].end) for number in values}
        return [(number, types[number]) for number in best_set(spans, values)]

    def as_dict(self) -> dict[str, Any]:
        """The parameters as a setting, `format.decisions`."""
        return asdict(self)


def decide(decisions: Decisions, phrases: Sequence[Phrase], count: int) -> tuple[list[tuple[int, int, str]], list[float | None]]:
    """The mentions of a sentence, and the confidence in the decision at each of its tokens.

    The confidence at a token outside of mentions is the lowest probability that a phrase with the token is no mention.

    Args:
        decisions: The parameters.
        phrases: The candidate phrases of the sentence.
        count: Number of its tokens.

    Returns:
        The mentions as first token, the token behind the last one, and label; a confidence for each token, None in no phrase.
    """
    confidence: list[float | None] = [None] * count
    scored = [decisions.logprobs(phrase) for phrase in phrases]
    for phrase, logprobs in zip(phrases, scored, strict=True):
        none = math.exp(logprobs[NONE])
        for number in range(phrase.start, phrase.end):
            known = confidence[number]
            confidence[number] = none if known is None else min(none, known)
    spans = []
    for phrase, name, probability in decisions.choose(phrases, scored):
        spans.append((phrase.start, phrase.end, name))
        confidence[phrase.start : phrase.end] = [probability] * (phrase.end - phrase.start)
    return spans, confidence


def best_set(spans: Mapping[int, tuple[int, int]], values: Mapping[int, float]) -> list[int]:
    """The set of spans without overlap that has the highest sum of values, by weighted interval scheduling.

    Args:
        spans: Half-open ranges by number.
        values: A positive value of each span.

    Returns:
        The numbers of the chosen spans, from left to right. Of sets with equal sums, the one whose last span ends earlier is taken.

    >>> best_set({7: (0, 1), 8: (1, 3), 9: (0, 3)}, {7: 1.0, 8: 1.0, 9: 1.5})
    [7, 8]
    """
    order = sorted(spans, key=lambda number: (spans[number][1], spans[number][0]))
    ends = [spans[number][1] for number in order]
    best = [0.0]
    taken: list[int | None] = [None]
    """For each span what is the best set before it, if it is taken itself."""
    for count, number in enumerate(order):
        before = bisect.bisect_right(ends, spans[number][0], 0, count)
        value = best[before] + values[number]
        taken.append(before if value > best[-1] else None)
        best.append(max(value, best[-1]))
    chosen: list[int] = []
    at = len(order)
    while at:
        before_it = taken[at]
        if before_it is None:
            at -= 1
        else:
            chosen.append(order[at - 1])
            at = before_it
    return chosen[::-1]


def read_decisions(
    saved: Mapping[str, Any] | None, labels: Sequence[str], *, name: str = "format.decisions", remedy: str = _REMEDY
) -> Decisions:
    """Decisions from a setting, or from the note beside a classifier's weights.

    Args:
        saved: What was saved; None: the default parameters.
        labels: Names of the corpus' labels.
        name: What messages call it.
        remedy: What messages say to do.

    Raises:
        InputError: It has an unknown key, a label that the corpus lacks, or a value that is no number.
    """
    try:
        return _read(saved, labels, name)
    except ValueError as error:
        raise InputError(str(error), remedy=remedy) from None


def _read(saved: object, labels: Sequence[str], name: str) -> Decisions:
    """Decisions from what was saved.

    Raises:
        ValueError: It cannot be used.
    """
    given = _mapping(saved, name)
    if unknown := sorted(set(given) - set(Decisions.__dataclass_fields__)):
        raise ValueError(f"{name} has {unknown[0]}, which is not a parameter")
    own: dict[str, Any] = {key: _number(given[key], f"{name}.{key}") for key in _SCALARS if key in given}
    own["offsets"] = _numbers(given.get("offsets"), f"{name}.offsets")
    rows = _mapping(given.get("weights"), f"{name}.weights")
    own["weights"] = {label: _numbers(row, f"{name}.weights.{label}") for label, row in rows.items()}
    for key, names in (("offsets", own["offsets"]), ("weights", own["weights"])):
        if stray := sorted(set(names) - {*labels, NONE}):
            raise ValueError(f"{name}.{key} names {stray[0]}, which is not a label of the corpus")
    return Decisions(**own, fingerprint=str(given.get("fingerprint") or ""))


def _mapping(value: object, name: str) -> dict[str, Any]:
    if value is None or isinstance(value, Mapping):
        return {str(key): inner for key, inner in (value or {}).items()}
    raise ValueError(f"{name} is not a mapping")


def _numbers(value: object, name: str) -> dict[str, float]:
    return {key: _number(inner, f"{name}.{key}") for key, inner in _mapping(value, name).items()}


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{name} is not a number from {-_LARGEST:,.0f} to {_LARGEST:,.0f}")
    return float(value)
