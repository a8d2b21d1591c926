"""Error kinds of unmatched spans: missed, invented, wrong ends, wrong type, wrong ends and type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from clinspan.metrics.counts import entities, Mode, Span

ErrorKind = Literal["wrong_ends", "wrong_type", "wrong_ends_and_type", "missed", "invented"]

WRONG_ENDS: ErrorKind = "wrong_ends"
WRONG_TYPE: ErrorKind = "wrong_type"
WRONG_BOTH: ErrorKind = "wrong_ends_and_type"
MISSED: ErrorKind = "missed"
INVENTED: ErrorKind = "invented"
KINDS: tuple[ErrorKind, ...] = (WRONG_ENDS, WRONG_TYPE, WRONG_BOTH, MISSED, INVENTED)
KIND_NAMES = {kind: kind.replace("_", " ") for kind in KINDS}
"""The words for each kind on screen, on pages and in files."""


@dataclass(frozen=True, slots=True)
class SpanError:
    """One error: a gold span and the predicted span paired with it, or one of them alone.

    Four kinds are those of the paper's error analysis (its Figure 4). The fifth is for pairs to which two of them apply.

    Attributes:
        kind: `wrong_ends` (Inaccurate Boundary: same label, other ends), `wrong_type` (Wrong Type: same ends, other label),
            `wrong_ends_and_type` (overlap, but other ends and other label), `missed` (False Negative: gold alone),
            `invented` (False Positive: predicted alone).
        gold: `(label, first token, last token)` as the corpus has it, None if invented.
        pred: The same as it was predicted, None if missed.

    Raises:
        ValueError: There is neither a gold nor a predicted span.
    """

    kind: ErrorKind
    gold: Span | None
    pred: Span | None

    def __post_init__(self) -> None:
        if self.gold is None and self.pred is None:
            raise ValueError("an error needs a gold span, a predicted span or both")

    @property
    def label(self) -> str:
        """The label under which the error is counted: the gold label, or the predicted one if there is no gold span."""
        return next(span[0] for span in (self.gold, self.pred) if span is not None)


def classify(gold: Sequence[str], pred: Sequence[str], mode: Mode) -> list[SpanError]:
    """The errors of one sentence in token order; exactly matched spans are not errors.

    Every unmatched span is in exactly one error. Overlapping gold and predicted spans are paired one to one, the best
    pair first: same bounds, then same label, then any; within each group by largest overlap, then from the left. A
    span whose possible partners are all in better pairs is `missed` or `invented`.

    Args:
        gold: Gold tags, one per token.
        pred: Predicted tags, one per token.
        mode: How tags are read, see `metrics.counts.entities`.

    Raises:
        ValueError: The lists differ in length, or the mode is `strict` and a tag is not IOB2.

    >>> [(e.kind, e.gold, e.pred) for e in classify(["B-Sign", "I-Sign", "O"], ["B-Sign", "O", "B-Sign"], "conlleval")]
    [('wrong_ends', ('Sign', 0, 1), ('Sign', 0, 0)), ('invented', None, ('Sign', 2, 2))]
    """
    if len(gold) != len(pred):
        raise ValueError(f"{len(gold)} gold tags but {len(pred)} predicted tags")
    truth, guess = entities(gold, mode), entities(pred, mode)
    pairs = _pair(truth - guess, guess - truth)
    errors = [SpanError(_kind(gold_span, pred_span), gold_span, pred_span) for gold_span, pred_span in pairs]
    errors += [SpanError(MISSED, span, None) for span in truth - guess - {gold_span for gold_span, _ in pairs}]
    errors += [SpanError(INVENTED, None, span) for span in guess - truth - {pred_span for _, pred_span in pairs}]
    return sorted(errors, key=_place)


def count_errors(rows: Iterable[tuple[Sequence[str], Sequence[str]]], mode: Mode) -> Counter[tuple[ErrorKind, str]]:
    """The number of errors by kind and label; a wrong type counts for the gold label.

    Args:
        rows: `(gold, pred)` tags, one pair per sentence.
        mode: How tags are read; use the mode of the run's scores.

    Raises:
        ValueError: As `classify`.

    >>> count_errors([(["B-Sign", "O"], ["B-Disease", "O"]), (["O"], ["B-Sign"])], "conlleval")
    Counter({('wrong_type', 'Sign'): 1, ('invented', 'Sign'): 1})
    """
    return Counter((error.kind, error.label) for gold, pred in rows for error in classify(gold, pred, mode))


def overlap(one: Span, other: Span) -> int:
    """The number of tokens that two spans share.

    >>> overlap(("Sign", 0, 2), ("Disease", 2, 4)), overlap(("Sign", 0, 1), ("Sign", 2, 2))
    (1, 0)
    """
    return max(0, min(one[2], other[2]) - max(one[1], other[1]) + 1)


def _pair(truth: Collection[Span], guess: Collection[Span]) -> list[tuple[Span, Span]]:
    """Pair overlapping spans greedily in the order that `classify` describes."""
    candidates = [(gold_span, pred_span) for gold_span in truth for pred_span in guess if overlap(gold_span, pred_span)]
    pairs: list[tuple[Span, Span]] = []
    used_truth: set[Span] = set()
    used_guess: set[Span] = set()
    for gold_span, pred_span in sorted(candidates, key=_rank):
        if gold_span not in used_truth and pred_span not in used_guess:
            used_truth.add(gold_span)
            used_guess.add(pred_span)
            pairs.append((gold_span, pred_span))
    return pairs


def _rank(pair: tuple[Span, Span]) -> tuple[int, int, int, int]:
    gold_span, pred_span = pair
    quality = 0 if gold_span[1:] == pred_span[1:] else 1 if gold_span[0] == pred_span[0] else 2
    return quality, -overlap(gold_span, pred_span), gold_span[1], pred_span[1]


def _kind(gold_span: Span, pred_span: Span) -> ErrorKind:
    if gold_span[1:] == pred_span[1:]:
        return WRONG_TYPE
    return WRONG_ENDS if gold_span[0] == pred_span[0] else WRONG_BOTH


def _place(error: SpanError) -> tuple[int, bool]:
    """Where the gold span begins, or the predicted one if it is alone; at the same token gold comes first."""
    first = next(span[1] for span in (error.gold, error.pred) if span is not None)
    return first, error.gold is None
