"""Counts of exactly matched entities, as seqeval reads tags; all scores are computed from them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Mode = Literal["conlleval", "strict"]
Span = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """Matched, predicted and gold entities; they add up, so they can be aggregated before any division.

    `matched` is a whole number, or a multiple of one half where `metrics.relaxed` gives half credit.

    >>> total = Counts(1, 2, 3) + Counts(1, 1, 1)
    >>> total, total.precision, total.recall
    (Counts(matched=2, pred=3, gold=4), 0.6666666666666666, 0.5)
    """

    matched: float = 0
    pred: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.matched + other.matched, self.pred + other.pred, self.gold + other.gold)

    @property
    def precision(self) -> float:
        return self.matched / self.pred if self.pred else 0.0

    @property
    def recall(self) -> float:
        return self.matched / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.matched / (self.pred + self.gold) if self.pred + self.gold else 0.0


_NOTHING = Counts()


def entities(tags: Sequence[str], mode: Mode) -> set[Span]:
    """`(label, first token, last token)` of a sentence's entities, by seqeval.

    `conlleval` is seqeval's default: an `I-` that continues no entity opens one. `strict` is its IOB2
    mode: such an `I-` belongs to no entity.
    """
    return set(_entities(tuple(tags), mode))


@functools.lru_cache(maxsize=65536)
def _entities(tags: tuple[str, ...], mode: Mode) -> frozenset[Span]:
    if mode == "conlleval":
        from seqeval.metrics.sequence_labeling import get_entities  # imports scikit-learn, so only on first use

        return frozenset((str(label), int(start), int(end)) for label, start, end in get_entities(list(tags)))
    from seqeval.scheme import Entities, IOB2

    names = sorted({tag[2:] for tag in tags if tag != "O"})  # numbered, because seqeval strips hyphens from the ends of names
    numbers = {name: f"L{n}" for n, name in enumerate(names)}
    numbered = [tag if tag == "O" else f"{tag[:2]}{numbers[tag[2:]]}" for tag in tags]
    parsed = Entities([numbered], IOB2).entities[0]
    return frozenset((names[int(str(e.tag)[1:])], int(e.start), int(e.end) - 1) for e in parsed)


def count_sentence(gold: Sequence[str], pred: Sequence[str], labels: Sequence[str], mode: Mode) -> dict[str, Counts]:
    """Counts by label of one sentence; both tag lists have one tag per token.

    Raises:
        ValueError: The lists differ in length.
    """
    if len(gold) != len(pred):
        raise ValueError(f"{len(gold)} gold tags but {len(pred)} predicted tags")
    truth, guess = _entities(tuple(gold), mode), _entities(tuple(pred), mode)
    table = dict.fromkeys(labels, _NOTHING)
    for label in {span[0] for span in truth | guess} & table.keys():
        gold_spans = {span for span in truth if span[0] == label}
        pred_spans = {span for span in guess if span[0] == label}
        table[label] = Counts(len(gold_spans & pred_spans), len(pred_spans), len(gold_spans))
    return table


def add_counts(tables: Iterable[dict[str, Counts]], labels: Sequence[str]) -> dict[str, Counts]:
    """The sum of tables of counts, label by label."""
    total = dict.fromkeys(labels, _NOTHING)
    for table in tables:
        for label, counts in table.items():
            if counts is not _NOTHING and label in total:
                total[label] = total[label] + counts
    return total
