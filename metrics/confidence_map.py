"""Maps from the confidence in a mention to the probability that it is right, fitted on judged mentions (Platt 1999)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from clinspan.metrics.calibration import entity_confidence, Judged
from clinspan.metrics.counts import entities, Mode

LEAST = 20
"""Mentions that a map is fitted to at least; fewer say too little about two parameters."""
_STRENGTH = 10.0
_EDGE = 1e-6
_HIGHEST = 700.0
"""The most log-odds whose exponential is a number."""


class ConfidenceMap(BaseModel):
    """A logistic curve over log-odds.

    Attributes:
        slope: Factor of the log-odds of the confidence; above 0, so that the order of mentions stays.
        intercept: Added to them.
        mentions: Number of mentions that it was fitted to.
        fingerprint: Of the prompt and the model whose confidences it maps; empty where it is kept beside the weights.

    >>> round(ConfidenceMap(slope=1, intercept=0, mentions=20)(0.7), 6)
    0.7
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope: float
    intercept: float
    mentions: int
    fingerprint: str = ""

    def __call__(self, confidence: float) -> float:
        """The probability that a mention is right in which the model has this confidence."""
        return scaled(confidence, self.slope, self.intercept)

    @classmethod
    def saved(cls, content: object) -> Self | None:
        """The map that a saved file has; None if it has none, or none that is valid."""
        try:
            return None if content is None else cls.model_validate(content)
        except ValidationError:
            return None

    def tags(self, pred: Sequence[str], confidence: Sequence[float | None] | None, mode: Mode) -> list[float | None] | None:
        """The probabilities of tags, where those of a predicted mention become the mapped confidence in it.

        Args:
            pred: The tags.
            confidence: The probability of each tag, None where it is not known; None: they are not known.
            mode: How tags are read.
        """
        if confidence is None:
            return None
        mapped = list(confidence)
        for _, first, last in entities(pred, mode):
            value = entity_confidence(confidence, first, last + 1)
            if value is not None:
                mapped[first : last + 1] = [self(value)] * (last + 1 - first)
        return mapped


def fit_map(judged: Iterable[Judged]) -> ConfidenceMap | None:
    """The map that fits judged mentions best; None if they are fewer than `LEAST`, all right or all wrong, or in no order."""
    rows = list(judged)
    if len(rows) < LEAST or len({right for _, right in rows}) < 2:
        return None
    slope, intercept = platt(rows)
    return ConfidenceMap(slope=slope, intercept=intercept, mentions=len(rows)) if slope > 0 else None


def platt(judged: Sequence[Judged]) -> tuple[float, float]:
    """Slope and intercept of a logistic regression of being right on the log-odds of the confidence."""
    from sklearn.linear_model import LogisticRegression

    regression: Any = LogisticRegression(C=_STRENGTH).fit(
        [[log_odds(value)] for value, _ in judged], [right for _, right in judged]
    )
    return round(float(regression.coef_[0, 0]), 4), round(float(regression.intercept_[0]), 4)


def scaled(probability: float, slope: float, intercept: float) -> float:
    """The probability on the logistic curve with this slope and intercept over the log-odds of another one."""
    height = slope * log_odds(probability) + intercept
    return 1 / (1 + math.exp(-max(-_HIGHEST, min(height, _HIGHEST))))


def log_odds(probability: float) -> float:
    """The logarithm of the odds of a probability, which is kept off 0 and 1.

    >>> round(log_odds(0.5), 6), round(log_odds(1.0), 2)
    (0.0, 13.82)
    """
    kept = min(max(probability, _EDGE), 1 - _EDGE)
    return math.log(kept / (1 - kept))
