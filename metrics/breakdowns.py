"""Breakdowns of exact scores by mention length, sentence length and rarity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clinspan.metrics.counts import Counts, Mode, Span
from clinspan.metrics.relaxed import mention_text, Row, sentence_spans
from clinspan.metrics.scores import triple

Bins = Sequence[tuple[str, int]]
"""Name and largest value of each bin, ascending; the last bin also takes all larger values."""

SPAN_LENGTHS: Bins = (("1", 1), ("2", 2), ("3", 3), ("4-5", 5), ("6+", 6))
SENTENCE_LENGTHS: Bins = (("1-10", 10), ("11-20", 20), ("21-30", 30), ("31-50", 50), ("51+", 51))
RARITIES: Bins = (("0", 0), ("1", 1), ("2-5", 5), (">5", 6))
SEEN: Bins = (("unseen", 0), ("seen", 1))


def break_down(rows: Sequence[Row], mode: Mode, train: Mapping[str, int] | None) -> dict[str, dict[str, dict[str, float]]]:
    """Counts, precision, recall and F1 by bin, all types together.

    Gold and predicted spans that match exactly have the same length, sentence and text. So each match is in one bin, and the
    bins of a breakdown add up to the micro counts. Recall of a bin refers to gold spans, precision to predicted ones.

    Args:
        rows: Lines of `predictions.jsonl`.
        mode: How tags are read, see `metrics.counts.entities`.
        train: How often each text is a gold mention of any type in the train split, by `mention_text`; None if unknown.

    Returns:
        Tables by bin name: `span_length` and `sentence_length` in tokens; with `train` also `rarity` (how often the mention
        occurs in it) and `seen` (whether it occurs).

    Raises:
        ValueError: A row has unequal numbers of gold and predicted tags.
    """
    tables = {
        "span_length": _binned(rows, mode, SPAN_LENGTHS, lambda row, span: span[2] - span[1] + 1),
        "sentence_length": _binned(rows, mode, SENTENCE_LENGTHS, lambda row, span: len(row["tokens"])),
    }
    if train is not None:
        known = train

        def times(row: Row, span: Span) -> int:
            return known.get(mention_text(row["tokens"], span), 0)

        tables |= {"rarity": _binned(rows, mode, RARITIES, times), "seen": _binned(rows, mode, SEEN, times)}
    return tables


def bin_of(value: int, bins: Bins) -> str:
    """The name of the first bin that can hold a value.

    >>> [bin_of(n, SPAN_LENGTHS) for n in (1, 4, 5, 6, 99)]
    ['1', '4-5', '4-5', '6+', '6+']
    """
    return next((name for name, most in bins if value <= most), bins[-1][0])


def _binned(rows: Iterable[Row], mode: Mode, bins: Bins, measure: Callable[[Row, Span], int]) -> dict[str, dict[str, float]]:
    table: dict[str, Counts] = defaultdict(Counts)
    for row in rows:
        truth, guess = sentence_spans(row, mode)
        for span in truth | guess:
            hit = span in truth and span in guess
            table[bin_of(measure(row, span), bins)] += Counts(int(hit), int(span in guess), int(span in truth))
    return {name: as_row(table[name]) for name, _ in bins}


def as_row(counts: Counts) -> dict[str, Any]:
    """
    >>> as_row(Counts(1, 2, 1))["precision"]
    0.5
    """
    return {"matched": counts.matched, "pred": counts.pred, "gold": counts.gold, **triple(counts)}
