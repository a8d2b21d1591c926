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
_REMEDY = "Use what optimizer=decisions wrote, or leave it out."


@dataclass(frozen=True, slots=True)
class Phrase:
    """A candidate phrase, and what a model says about it as logarithms of probabilities.

    Attributes:
        start: Its first token.
        end: The token behind its last one.
        words: Number of its words.
        types: For each type, and `None`, that it is one, if it is one of them.
        phrase: That an answer begins with it.
        ending: That it ends where it does.
        typed: That one of the types follows.
        further: What `TrainCounts` and `NameLookup` say about it; empty where decisions weigh the model's probabilities alone.
    """

    start: int
    end: int
    words: int
    types: Mapping[str, float]
    phrase: float
    ending: float
    typed: float
    further: Mapping[str, float] = field(default_factory=dict)

    def features(self) -> dict[str, float]:
        """What `Decisions.weights` apply to."""
        sizes = {f"words:{size}": float(self.words == size) for size in (1, 2, 3)}
        stem = {"phrase": self.phrase, "ending": self.ending, "typed": self.typed, "bias": 1.0}
        return {**{f"type:{name}": value for name, value in self.types.items()}, **stem, **sizes, **self.further}


def of_model(feature: str) -> bool:
    """Whether a feature of a phrase is a probability that the model gives.

    >>> of_model("type:Sign"), of_model("ending"), of_model("words:2"), of_model("same:Sign")
    (True, True, False, False)
    """
    return feature.startswith("type:") or feature in ("phrase", "ending", "typed")


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


def read_decisions(saved: Mapping[str, Any] | None, labels: Sequence[str]) -> Decisions:
    """Decisions from a setting.

    Args:
        saved: The setting; None: the default parameters.
        labels: Names of the corpus' labels.

    Raises:
        InputError: It has an unknown key, a label that the corpus lacks, or a value that is no number.
    """
    given = {str(key): value for key, value in (saved or {}).items()}
    if unknown := sorted(set(given) - set(Decisions.__dataclass_fields__)):
        raise InputError(f"format.decisions has {unknown[0]}, which is not a parameter", remedy=_REMEDY)
    own: dict[str, Any] = {key: _number(given[key], key) for key in _SCALARS if key in given}
    own["offsets"] = _numbers(given.get("offsets"), "offsets")
    own["weights"] = {name: _numbers(row, f"weights.{name}") for name, row in _mapping(given.get("weights"), "weights").items()}
    for key, names in (("offsets", own["offsets"]), ("weights", own["weights"])):
        if stray := sorted(set(names) - {*labels, NONE}):
            raise InputError(f"format.decisions.{key} names {stray[0]}, which is not a label of the corpus", remedy=_REMEDY)
    return Decisions(**own, fingerprint=str(given.get("fingerprint") or ""))


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if value is None or isinstance(value, Mapping):
        return {str(name): inner for name, inner in (value or {}).items()}
    raise InputError(f"format.decisions.{key} is not a mapping", remedy=_REMEDY)


def _numbers(value: Any, key: str) -> dict[str, float]:
    return {name: _number(inner, f"{key}.{name}") for name, inner in _mapping(value, key).items()}


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"format.decisions.{key} is not a number", remedy=_REMEDY)
    return float(value)
