"""Error kinds of unmatched spans: missed, invented, wrong bounds, wrong type, both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from clinspan.metrics.counts import entities, Mode, Span

ErrorKind = Literal["boundary", "type", "boundary_and_type", "missed", "invented"]

BOUNDARY: ErrorKind = "boundary"
TYPE: ErrorKind = "type"
BOUNDARY_AND_TYPE: ErrorKind = "boundary_and_type"
MISSED: ErrorKind = "missed"
INVENTED: ErrorKind = "invented"
KINDS: tuple[ErrorKind, ...] = (BOUNDARY, TYPE, BOUNDARY_AND_TYPE, MISSED, INVENTED)


@dataclass(frozen=True, slots=True)
class SpanError:
    """One mistake: a gold span and the predicted span that was meant for it, or one of them alone.

    The kinds are the four of the paper's error analysis (its Figure 4), and one for the spans to which two of them apply.

    Attributes:
        kind: `boundary` (Inaccurate Boundary: same label, other bounds), `type` (Wrong Type: same bounds, other label),
            `boundary_and_type` (they overlap and agree in neither), `missed` (False Negative: gold alone),
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
        """The label under which the error is counted: gold's, or the predicted one if nothing is there."""
        return next(span[0] for span in (self.gold, self.pred) if span is not None)


def classify(gold: Sequence[str], pred: Sequence[str], mode: Mode) -> list[SpanError]:
    """The errors of one sentence, in the order of its tokens; exactly matched spans are none.

    Every unmatched span is in exactly one error. Gold and predicted spans that overlap are paired one to one, the
    best pair first: same bounds, then same label, then any, each by the largest overlap and from the left. What
    finds no partner because a better pair has used it up is `missed` or `invented`.

    Args:
        gold: Gold tags, one a token.
        pred: Predicted tags, one a token.
        mode: How tags are read, see `metrics.counts.entities`.

    Raises:
        ValueError: The lists differ in length, or the mode is `strict` and a tag is none of IOB2.

    >>> [(e.kind, e.gold, e.pred) for e in classify(["B-Sign", "I-Sign", "O"], ["B-Sign", "O", "B-Sign"], "conlleval")]
    [('boundary', ('Sign', 0, 1), ('Sign', 0, 0)), ('invented', None, ('Sign', 2, 2))]
    """
    if len(gold) != len(pred):
        raise ValueError(f"{len(gold)} gold tags but {len(pred)} predicted tags")
    truth, guess = entities(gold, mode), entities(pred, mode)
    pairs = _pair(truth - guess, guess - truth)
    errors = [SpanError(_kind(true, said), true, said) for true, said in pairs]
    errors += [SpanError(MISSED, true, None) for true in truth - guess - {true for true, _ in pairs}]
    errors += [SpanError(INVENTED, None, said) for said in guess - truth - {said for _, said in pairs}]
    return sorted(errors, key=_place)


def count_errors(rows: Iterable[tuple[Sequence[str], Sequence[str]]], mode: Mode) -> Counter[tuple[ErrorKind, str]]:
    """How many errors of each kind each label has; a wrong type counts for the gold label.

    Args:
        rows: `(gold, pred)` tags, one pair a sentence.
        mode: How tags are read; use that of the scores beside which the errors stand.

    Raises:
        ValueError: As `classify`.

    >>> count_errors([(["B-Sign", "O"], ["B-Disease", "O"]), (["O"], ["B-Sign"])], "conlleval")
    Counter({('type', 'Sign'): 1, ('invented', 'Sign'): 1})
    """
    return Counter((error.kind, error.label) for gold, pred in rows for error in classify(gold, pred, mode))


def overlap(one: Span, other: Span) -> int:
    """The number of tokens that two spans share.

    >>> overlap(("Sign", 0, 2), ("Disease", 2, 4)), overlap(("Sign", 0, 1), ("Sign", 2, 2))
    (1, 0)
    """
    return max(0, min(one[2], other[2]) - max(one[1], other[1]) + 1)


def _pair(truth: Collection[Span], guess: Collection[Span]) -> list[tuple[Span, Span]]:
    """Partners among overlapping spans, taken greedily in the order that `classify` states."""
    candidates = [(true, said) for true in truth for said in guess if overlap(true, said)]
    pairs: list[tuple[Span, Span]] = []
    used_truth: set[Span] = set()
    used_guess: set[Span] = set()
    for true, said in sorted(candidates, key=_rank):
        if true not in used_truth and said not in used_guess:
            used_truth.add(true)
            used_guess.add(said)
            pairs.append((true, said))
    return pairs


def _rank(pair: tuple[Span, Span]) -> tuple[int, int, int, int]:
    true, said = pair
    quality = 0 if true[1:] == said[1:] else 1 if true[0] == said[0] else 2
    return quality, -overlap(true, said), true[1], said[1]


def _kind(true: Span, said: Span) -> ErrorKind:
    if true[1:] == said[1:]:
        return TYPE
    return BOUNDARY if true[0] == said[0] else BOUNDARY_AND_TYPE


def _place(error: SpanError) -> tuple[int, bool]:
    """Where the gold span begins, or the predicted one if it is alone; at the same token gold comes first."""
    first = next(span[1] for span in (error.gold, error.pred) if span is not None)
    return first, error.gold is None
