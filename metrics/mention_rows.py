"""The gold and predicted mentions of a sentence in pairs, right ones included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinspan.metrics.calibration import entity_confidence
from clinspan.metrics.counts import entities, Mode, Span
from clinspan.metrics.errors import classify, KIND_NAMES

CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class MentionPair:
    """A gold mention and the predicted one that is paired with it, or one of them alone.

    Attributes:
        gold: `(label, first token, last token)`; None if invented.
        pred: The same as it was predicted; None if missed.
        kind: `correct`, or the kind of error as `metrics.errors.KIND_NAMES` words it.
        confidence: The confidence of the predicted mention; None if it is not known.
    """

    gold: Span | None
    pred: Span | None
    kind: str
    confidence: float | None


def mention_pairs(
    gold: Sequence[str], pred: Sequence[str], confidence: Sequence[float | None] | None, mode: Mode
) -> list[MentionPair]:
    """The mentions of one sentence in token order. Pairs are those of `metrics.errors.classify`.

    Raises:
        ValueError: As `classify`.

    >>> [(pair.kind, pair.pred) for pair in mention_pairs(["B-Sign", "O", "B-Sign"], ["B-Sign", "O", "O"], None, "conlleval")]
    [('correct', ('Sign', 0, 0)), ('missed', None)]
    """
    right = [(span, span, CORRECT) for span in entities(gold, mode) & entities(pred, mode)]
    sides: list[tuple[Span | None, Span | None, str]] = [
        *right,
        *((error.gold, error.pred, KIND_NAMES[error.kind]) for error in classify(gold, pred, mode)),
    ]
    pairs = [
        MentionPair(truth, guess, kind, None if guess is None else entity_confidence(confidence, guess[1], guess[2] + 1))
        for truth, guess, kind in sides
    ]
    return sorted(pairs, key=lambda pair: next((span[1], span[2]) for span in (pair.gold, pair.pred) if span is not None))
