"""Scores of full mentions: nested, overlapping and in pieces. A mention is right if label and all its token ranges are equal.

Lines of `predictions.jsonl` have the gold mentions as `gold_mentions` if the corpus was read with `corpus.mentions=full`. The
predicted ones are `pred_mentions`, or those of the tags where a line has none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clinspan.metrics.counts import add_counts, Counts, entities, Mode
from clinspan.metrics.intervals import document_intervals
from clinspan.metrics.scores import Scores, triple

Ranges = tuple[tuple[int, int], ...]
Mention = tuple[str, Ranges]
"""Label, and half-open token ranges in text order."""
Row = Mapping[str, Any]


def has_full(records: Sequence[Row]) -> bool:
    """Whether all predictions have the gold mentions in full."""
    return bool(records) and all(row.get("gold_mentions") is not None for row in records)


def gold_full(row: Row) -> set[Mention]:
    """The gold mentions of a line."""
    return _read(row["gold_mentions"])


def pred_full(row: Row, mode: Mode) -> set[Mention]:
    """The predicted mentions of a line; those of its tags if it has no others."""
    given = row.get("pred_mentions")
    return tagged_full(row["pred"], mode) if given is None else _read(given)


def tagged_full(tags: Sequence[str], mode: Mode) -> set[Mention]:
    """The mentions of tags.

    >>> tagged_full(["B-Sign", "I-Sign", "O"], "conlleval")
    {('Sign', ((0, 2),))}
    """
    return {(label, ((first, last + 1),)) for label, first, last in entities(tags, mode)}


def _read(mentions: Iterable[Mapping[str, Any]]) -> set[Mention]:
    return {(one["label"], tuple(sorted((start, end) for start, end in one["fragments"]))) for one in mentions}


def count_full(gold: set[Mention], found: set[Mention], labels: Sequence[str]) -> dict[str, Counts]:
    """Counts by label of one sentence.

    >>> count_full({("Sign", ((0, 1), (3, 4)))}, {("Sign", ((0, 1),))}, ["Sign"])
    {'Sign': Counts(matched=0, pred=1, gold=1)}
    """
    right = Counter(label for label, _ in gold & found)
    of_gold, of_found = (Counter(label for label, _ in mentions) for mentions in (gold, found))
    return {label: Counts(right[label], of_found[label], of_gold[label]) for label in labels}


def count_full_documents(records: Sequence[Row], labels: Sequence[str], mode: Mode) -> dict[str, dict[str, Counts]]:
    """Counts by document and label."""
    documents: dict[str, list[dict[str, Counts]]] = defaultdict(list)
    for row in records:
        documents[row["document"]].append(count_full(gold_full(row), pred_full(row, mode), labels))
    return {name: add_counts(tables, labels) for name, tables in documents.items()}


def most_flat(mentions: Iterable[Mention]) -> int:
    """The largest number of mentions that tags can have at the same time: continuous ones, of which no two share a token.

    >>> most_flat({("A", ((0, 3),)), ("B", ((0, 1),)), ("B", ((2, 3),)), ("B", ((4, 5), (6, 7)))})
    2
    """
    number = free = 0
    for end, start in sorted((ranges[0][1], ranges[0][0]) for _, ranges in mentions if len(ranges) == 1):
        if start >= free:
            number, free = number + 1, end
    return number


def flat_limits(records: Sequence[Row], labels: Sequence[str], mode: Mode) -> dict[str, Any]:
    """What tags can reach at most on full mentions.

    Returns:
        `mentions` in gold; how many of them are `discontinuous` (in pieces) and, of the others, `overlapping` (share a token with
        another one, of any label); `best`, micro scores of the best possible tags, which have all mentions right except `lost`;
        `gold_tags`, micro scores of the gold tags.
    """
    known = set(labels)
    best = tags = Counts()
    counts: Counter[str] = Counter(mentions=0, discontinuous=0, overlapping=0, lost=0)
    for row in records:
        gold = {one for one in gold_full(row) if one[0] in known}
        most = most_flat(gold)
        best += Counts(most, most, len(gold))
        tags = sum(count_full(gold, tagged_full(row["gold"], mode), labels).values(), tags)
        users = Counter(token for _, ranges in gold for start, end in ranges for token in range(start, end))
        shared = {one for one in gold if any(users[token] > 1 for start, end in one[1] for token in range(start, end))}
        counts["mentions"] += len(gold)
        counts["lost"] += len(gold) - most
        counts["discontinuous"] += sum(len(ranges) > 1 for _, ranges in gold)
        counts["overlapping"] += sum(len(ranges) == 1 for _, ranges in shared)
    return {**counts, "best": triple(best), "gold_tags": triple(tags)}


def full_scores(records: Sequence[Row], labels: Sequence[str], mode: Mode = "conlleval") -> dict[str, Any] | None:
    """Scores of full mentions, for `full` in `scores.json`.

    Args:
        records: Lines of `predictions.jsonl`.
        labels: The labels of the corpus.
        mode: How tags are read, where a line has no predicted mentions beside them.

    Returns:
        `per_type`, `macro`, `micro`, `counts` and `intervals` as in `scores.json`, and `flat` as `flat_limits` gives it. None if
        the gold mentions were not read in full.
    """
    if not has_full(records):
        return None
    tables = list(count_full_documents(records, labels, mode).values())
    return {
        **Scores(add_counts(tables, labels)).as_dict(),
        "intervals": {"level": 0.95, "unit": "document", "f1": document_intervals(tables, labels)},
        "flat": flat_limits(records, labels, mode),
    }
