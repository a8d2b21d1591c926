"""Scores against the annotations as they were made: by character offsets, before tokens moved an end or dropped a mention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clinspan.corpora.fidelity import change_of
from clinspan.metrics.counts import Counts, entities, Mode
from clinspan.metrics.scores import Scores

Mention = tuple[str, str, tuple[tuple[int, int], ...]]
"""Document, label, and the fragments of a mention as half-open character offsets, sorted."""


def offset_scores(records: Sequence[Mapping[str, Any]], labels: Sequence[str], mode: Mode = "conlleval") -> dict[str, Any] | None:
    """Score predicted tags against the original annotations: a mention is right if label and all character offsets are equal.

    Annotations of one document with equal label and offsets count once.

    Args:
        records: Lines of `predictions.jsonl`, with the `offsets` of tokens and the `mentions` of the annotators.
        labels: The labels of the corpus.
        mode: How tags are read.

    Returns:
        `micro`, `macro` and `per_type` as in `scores.json`; `ceiling` is what the gold tags, hence a perfect tagger, would score:
        its micro scores, the number of `mentions`, and how many of them tags cannot express: those in pieces (`discontinuous`),
        those whose tags have `other_ends`, and those without tags (`dropped`). None if the corpus has no character offsets.
    """
    if not records or any(record.get("mentions") is None or record.get("offsets") is None for record in records):
        return None
    gold = annotated_mentions(records)
    tagged = tagged_mentions(records, "gold", mode)
    return {
        **_scores(gold, tagged_mentions(records, "pred", mode), labels),
        "ceiling": {**_scores(gold, tagged, labels)["micro"], "mentions": len(gold), **_lost(gold, tagged)},
    }


def annotated_mentions(records: Iterable[Mapping[str, Any]]) -> set[Mention]:
    """The annotators' mentions in lines of `predictions.jsonl`."""
    return {
        (record["document"], mention["label"], tuple(sorted((start, end) for start, end in mention["fragments"])))
        for record in records
        for mention in record["mentions"]
    }


def tagged_mentions(records: Iterable[Mapping[str, Any]], key: str, mode: Mode) -> set[Mention]:
    """The entities of the tags under `key`, `gold` or `pred`, at the characters of their tokens."""
    return {
        (record["document"], label, ((record["offsets"][first][0], record["offsets"][last][1]),))
        for record in records
        for label, first, last in entities(record[key], mode)
    }


def count_mentions(gold: set[Mention], found: set[Mention], labels: Sequence[str]) -> dict[str, Counts]:
    """Counts by label; a mention is right if document, label and all fragments are equal.

    >>> fever, cough = ("d", "Sign", ((0, 5),)), ("d", "Sign", ((9, 14),))
    >>> count_mentions({fever, cough}, {fever}, ["Sign"])
    {'Sign': Counts(matched=1, pred=1, gold=2)}
    """
    right = Counter(label for _, label, _ in gold & found)
    of_gold, of_found = (Counter(label for _, label, _ in mentions) for mentions in (gold, found))
    return {label: Counts(right[label], of_found[label], of_gold[label]) for label in labels}


def _scores(gold: set[Mention], found: set[Mention], labels: Sequence[str]) -> dict[str, Any]:
    scores = Scores(count_mentions(gold, found, labels)).as_dict()
    return {key: scores[key] for key in ("micro", "macro", "per_type")}


def _lost(gold: set[Mention], tagged: set[Mention]) -> dict[str, int]:
    by_place: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for document, label, ((start, end),) in tagged:
        by_place.setdefault((document, label), []).append((start, end))
    lost = Counter({"discontinuous": 0, "other_ends": 0, "dropped": 0})
    lost.update(change_of(fragments, by_place.get((document, label), ())) for document, label, fragments in gold - tagged)
    return dict(lost)
