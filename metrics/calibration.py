"""Calibration of confidences: expected calibration error, Brier score, AUROC, and reliability bins."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from clinspan.metrics.counts import entities, Mode

BINS = 10
_EXACT = 1000
Judged = tuple[float, bool]


def judge_entities(gold: Sequence[str], pred: Sequence[str], confidence: Sequence[float | None] | None, mode: Mode) -> list[Judged]:
    """Confidence and correctness of each predicted entity of a sentence; entities without a known confidence are left out.

    An entity's confidence is the geometric mean of its tags' probabilities, so that it does not fall with the entity's
    length. An entity is correct if its type and both bounds are correct. Tags are read as scores read them.

    >>> judge_entities(["B-Sign", "I-Sign"], ["B-Sign", "I-Sign"], [0.9, 0.4], "conlleval")
    [(0.6, True)]
    >>> judge_entities(["B-Sign"], ["I-Sign"], [0.9], "conlleval"), judge_entities(["B-Sign"], ["I-Sign"], [0.9], "strict")
    ([(0.9, True)], [])
    """
    truth = entities(gold, mode)
    judged: list[Judged] = []
    for label, first, last in sorted(entities(pred, mode), key=lambda span: span[1]):
        mean = entity_confidence(confidence, first, last + 1)
        if mean is not None:
            judged.append((mean, (label, first, last) in truth))
    return judged


def entity_confidence(confidence: Sequence[float | None] | None, start: int, end: int) -> float | None:
    """The geometric mean of the known probabilities of a span's tags, half-open; None if none is known.

    >>> entity_confidence([0.9, None, 0.4], 0, 3), entity_confidence(None, 0, 3)
    (0.6, None)
    """
    known = [value for value in (confidence or ())[start:end] if value is not None]
    return round(math.exp(sum(math.log(max(value, 1e-12)) for value in known) / len(known)), 12) if known else None


def calibration(judged: Iterable[Judged]) -> dict[str, Any] | None:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017), and the bins; None without confidences.

    Returns:
        `ece`, the mean of |accuracy - confidence| weighted by the bins' sizes; `ece_by_chance`, what it would be on average if each
        mention were right with exactly the probability that its confidence says; `brier`, the mean squared difference of
        confidence and being right (Brier 1950); `auroc`, how often a right mention has a higher confidence than a wrong one,
        None if all are right or all wrong; `entities`; `bins`, each with `low`, `high`, `entities`, `confidence` and `accuracy`
        (both None where a bin is empty).

    >>> found = calibration([(0.75, True), (0.75, False), (0.25, True)])
    >>> round(found["ece"], 3), round(found["ece_by_chance"], 3)
    (0.417, 0.312)
    """
    rows = list(judged)
    if not rows:
        return None
    bins: list[dict[str, Any]] = []
    error = by_chance = 0.0
    for number in range(BINS):
        inside = [row for row in rows if min(int(row[0] * BINS), BINS - 1) == number]
        mean = sum(value for value, _ in inside) / len(inside) if inside else None
        accuracy = sum(hit for _, hit in inside) / len(inside) if inside else None
        if mean is not None and accuracy is not None:
            error += len(inside) / len(rows) * abs(accuracy - mean)
            by_chance += sum_deviation([value for value, _ in inside]) / len(rows)
        edges = {"low": number / BINS, "high": (number + 1) / BINS}
        bins.append({**edges, "entities": len(inside), "confidence": mean, "accuracy": accuracy})
    brier = sum((value - hit) ** 2 for value, hit in rows) / len(rows)
    about = {"ece": error, "ece_by_chance": by_chance, "brier": brier}
    return {**about, "auroc": auroc(rows), "entities": len(rows), "bins": bins}


def sum_deviation(probabilities: Sequence[float]) -> float:
    """The mean of |number that happen - sum of the probabilities| for independent events.

    It is exact for up to `_EXACT` events, and that of a normal distribution with the same variance beyond.

    >>> sum_deviation([0.5, 0.5]), sum_deviation([1.0])
    (0.5, 0.0)
    """
    if len(probabilities) > _EXACT:
        return math.sqrt(2 / math.pi * sum(value * (1 - value) for value in probabilities))
    spread = np.ones(1)  # probabilities of 0, 1, ... events (Poisson binomial distribution)
    for value in probabilities:
        spread = np.append(spread * (1 - value), 0.0) + np.append(0.0, spread * value)
    return float(np.abs(np.arange(len(spread)) - sum(probabilities)) @ spread)


def auroc(judged: Sequence[Judged]) -> float | None:
    """The area under the ROC curve: the share of pairs of a right and a wrong mention that confidences order, ties as a half.

    None if there is no such pair.

    >>> auroc([(0.9, True), (0.4, False), (0.4, True)]), auroc([(0.9, True)])
    (0.75, None)
    """
    right, wrong = (sorted(value for value, hit in judged if hit == kind) for kind in (True, False))
    if not right or not wrong:
        return None
    ordered = sum(bisect_left(wrong, value) + bisect_right(wrong, value) for value in right)
    return ordered / (2 * len(right) * len(wrong))
