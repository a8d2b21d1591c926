"""Relaxed scores: overlapping spans, half credit for wrong bounds, type-free, and document-level sets.

All scores pair spans one to one. So a span that joins two mentions matches only one of them, and no span is counted twice.
Within a type exact <= partial <= overlap, in precision, recall and F1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from clinspan.metrics.counts import Counts, entities, Mode, Span
from clinspan.metrics.errors import overlap
from clinspan.metrics.scores import Scores, triple

Row = Mapping[str, Any]


def relaxed_scores(rows: Sequence[Row], labels: Sequence[str], mode: Mode) -> dict[str, Any]:
    """Exact scores, and scores under weaker criteria.

    Names in brackets are those of SemEval-2013 Task 9.1 (Segura-Bedmar et al. 2013). Half credit for overlapping spans with
    other bounds comes from MUC-5 (Chinchor and Sundheim 1993).

    Args:
        rows: Lines of `predictions.jsonl`: `document`, `tokens`, `gold` and `pred`, one tag per token.
        labels: The corpus' labels; macro is the mean over all of them.
        mode: How tags are read, see `metrics.counts.entities`.

    Returns:
        By name, scores by type with `macro` and `micro` in the form of `Scores.as_dict`:
        `exact` (strict): same type, same bounds;
        `partial`: same type; same bounds count 1, an overlap counts 0.5;
        `overlap` (type): same type, at least one token shared;
        `document`: sets of (document, type, text), see `mention_text`; number and place of the mentions do not matter.
        Only precision, recall and F1, of spans of any type: `exact_any_type` (exact boundary) and `partial_any_type`
        (partial boundary).

    Raises:
        ValueError: As `metrics.counts.count_sentence`.
    """
    totals = {name: dict.fromkeys(labels, Counts()) for name in ("exact", "partial", "overlap")}
    known = set(labels)
    bounds = {"exact_any_type": Counts(), "partial_any_type": Counts()}
    for row in rows:
        truth, guess = sentence_spans(row, mode)
        for label in {span[0] for span in truth | guess} & known:
            _add(totals, label, [s for s in truth if s[0] == label], [s for s in guess if s[0] == label])
        exact, shared = count_pairs({s[1:] for s in truth}, {s[1:] for s in guess})
        sizes = len(guess), len(truth)
        bounds["exact_any_type"] += Counts(exact, *sizes)
        bounds["partial_any_type"] += Counts((exact + shared) / 2, *sizes)
    totals["document"] = document_counts(rows, labels, mode)
    return {name: Scores(table).as_dict() for name, table in totals.items()} | {k: triple(c) for k, c in bounds.items()}


def sentence_spans(row: Row, mode: Mode) -> tuple[set[Span], set[Span]]:
    """Gold and predicted spans of one line of `predictions.jsonl`.

    Raises:
        ValueError: The line has unequal numbers of gold and predicted tags.
    """
    if len(row["gold"]) != len(row["pred"]):
        raise ValueError(f"{len(row['gold'])} gold tags but {len(row['pred'])} predicted tags")
    return entities(row["gold"], mode), entities(row["pred"], mode)


def count_pairs(truth: Collection[tuple[int, int]], guess: Collection[tuple[int, int]]) -> tuple[int, int]:
    """The number of spans with the same bounds, and the largest possible number of one-to-one pairs of overlapping spans.

    Spans of one side never overlap each other. So pairing from left to right gives the largest number of pairs, and a pair
    with the same bounds is in every largest pairing.

    Args:
        truth: `(first token, last token)`, disjoint.
        guess: The same, of the other side.

    >>> count_pairs({(0, 2), (4, 4)}, {(1, 1), (2, 2), (4, 4)}), count_pairs({(0, 0), (1, 1)}, {(0, 1)})
    ((1, 2), (0, 1))
    """
    left, right = sorted(truth), sorted(guess)
    i = j = shared = 0
    while i < len(left) and j < len(right):
        if overlap(("", *left[i]), ("", *right[j])):
            shared, i, j = shared + 1, i + 1, j + 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return len(set(left) & set(right)), shared


def mention_text(tokens: Sequence[str], span: Span) -> str:
    """The text by which mentions are compared: the tokens joined by one space, without regard to case.

    >>> mention_text(["Fabry", "Disease", "is"], ("RareDisease", 0, 1))
    'fabry disease'
    """
    return " ".join(tokens[span[1] : span[2] + 1]).casefold()


def _add(totals: Mapping[str, dict[str, Counts]], label: str, truth: Iterable[Span], guess: Iterable[Span]) -> None:
    left, right = {span[1:] for span in truth}, {span[1:] for span in guess}
    exact, shared = count_pairs(left, right)
    for name, matched in (("exact", exact), ("partial", (exact + shared) / 2), ("overlap", shared)):
        totals[name][label] += Counts(matched, len(right), len(left))


def document_counts(rows: Iterable[Row], labels: Sequence[str], mode: Mode) -> dict[str, Counts]:
    """Counts by label of the sets of (document, type, text), see `mention_text`."""
    named: tuple[set[tuple[str, str, str]], set[tuple[str, str, str]]] = (set(), set())
    for row in rows:
        for mentions, spans in zip(named, sentence_spans(row, mode), strict=True):
            mentions |= {(str(row["document"]), span[0], mention_text(row["tokens"], span)) for span in spans}
    truth, guess = named
    sizes = [Counter(item[1] for item in mentions) for mentions in (truth & guess, guess, truth)]
    return {label: Counts(*(size[label] for size in sizes)) for label in labels}
