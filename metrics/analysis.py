"""The error analysis of a run: kinds of errors, confusions of types, breakdowns, frequent mistakes, relaxed scores."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clinspan.metrics.breakdowns import break_down
from clinspan.metrics.counts import Mode, Span
from clinspan.metrics.errors import classify, count_errors, ErrorKind, INVENTED, KINDS, MISSED
from clinspan.metrics.relaxed import mention_text, relaxed_scores, Row, sentence_spans

NONE = "none"

_ALL_SHOWN = 100


def analyse(
    rows: Sequence[Row],
    labels: Sequence[str],
    mode: Mode,
    *,
    train: Mapping[str, int] | None = None,
    sample: int | None = None,
    seed: int = 0,
    mentions: int = 20,
) -> dict[str, Any]:
    """Analyse the errors of a run from its predictions. The result holds plain JSON values.

    Args:
        rows: Lines of `predictions.jsonl`: `id`, `document`, `tokens`, `gold` and `pred`, one tag a token.
        labels: The corpus' labels.
        mode: How tags are read; use the mode of the run's scores.
        train: How often each text is a gold mention of the train split, see `count_mentions`; None leaves rarity out.
        sample: Number of random sentences whose kinds are also counted separately, as the paper did with 50; None: no sample.
        seed: Seed of the sample. The sample depends only on it and the sentence ids, so two systems get the same sentences.
        mentions: How many missed and how many invented mentions to list.

    Returns:
        `kinds` (by type, and in `total`), `sample` (kinds and ids of the random sentences, or None), `confusion`,
        `breakdowns`, `frequent` and `scores`. Only `frequent` holds words of the corpus.

    Raises:
        ValueError: A row has unequal numbers of gold and predicted tags, or the mode is `strict` and a tag is not IOB2.
    """
    chosen = choose_sample(rows, sample, seed) if sample is not None else None
    return {
        "mode": mode,
        "labels": list(labels),
        "sentences": len(rows),
        "documents": len({row["document"] for row in rows}),
        "kinds": kinds_by_type(rows, labels, mode),
        "sample": None if chosen is None else _sampled(chosen, labels, mode, seed),
        "confusion": confusion(rows, labels, mode),
        "breakdowns": break_down(rows, mode, train),
        "frequent": frequent_errors(rows, mode, mentions),
        "scores": relaxed_scores(rows, labels, mode),
    }


def choose_sample(rows: Sequence[Row], size: int, seed: int) -> list[Row]:
    """`size` random sentences, or all if there are fewer. The choice depends only on ids and seed, not on the order of rows.

    >>> rows = [{"id": f"a:{n}"} for n in range(9)]
    >>> choose_sample(rows, 3, 1) == choose_sample(rows[::-1], 3, 1)
    True
    """
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    return ordered if size >= len(ordered) else random.Random(seed).sample(ordered, size)


def kinds_by_type(rows: Sequence[Row], labels: Sequence[str], mode: Mode) -> dict[str, dict[str, int]]:
    """The number of errors by type and kind, and in `total`; every unmatched span is in exactly one error.

    A wrong type counts for the gold type. See `metrics.errors.SpanError` for the kinds.
    """
    counts = count_errors([(row["gold"], row["pred"]) for row in rows], mode)
    table: dict[str, dict[str, int]] = {label: {kind: counts[kind, label] for kind in KINDS} for label in labels}
    return table | {"total": {kind: sum(table[label][kind] for label in labels) for kind in KINDS}}


def confusion(rows: Sequence[Row], labels: Sequence[str], mode: Mode) -> dict[str, dict[str, int]]:
    """Confusion table of gold and predicted types. Overlapping spans form pairs; `none` stands for a missing partner.

    Pairs are one to one: exact matches, and the pairs of `metrics.errors.classify`. So a row adds up to the gold spans of a
    type, and a column to its predicted spans.

    With more than a hundred types the table has only those that occur.

    Returns:
        `table[gold][pred]`; `table["none"][pred]` counts invented spans, `table[gold]["none"]` missed ones.
    """
    shown = labels
    if len(labels) > _ALL_SHOWN:
        occurring = {span[0] for row in rows for side in sentence_spans(row, mode) for span in side}
        shown = [label for label in labels if label in occurring]
    names = [*shown, NONE]
    table = {gold: dict.fromkeys(names, 0) for gold in names}
    for row in rows:
        truth, guess = sentence_spans(row, mode)
        pairs: list[tuple[Span | None, Span | None]] = [(span, span) for span in truth & guess]
        pairs += [(error.gold, error.pred) for error in classify(row["gold"], row["pred"], mode)]
        for gold, pred in pairs:
            table[gold[0] if gold else NONE][pred[0] if pred else NONE] += 1
    return table


def frequent_errors(rows: Sequence[Row], mode: Mode, most: int) -> dict[str, list[dict[str, Any]]]:
    """The mentions (text and type) that were most often missed or invented, by descending count, then by text."""
    counts: dict[ErrorKind, Counter[tuple[str, str]]] = {MISSED: Counter(), INVENTED: Counter()}
    for row in rows:
        for error in classify(row["gold"], row["pred"], mode):
            span = error.gold or error.pred
            if error.kind in counts and span is not None:
                counts[error.kind][mention_text(row["tokens"], span), span[0]] += 1
    ordered = {kind: sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most] for kind, counter in counts.items()}
    return {kind: [{"text": text, "type": label, "count": n} for (text, label), n in items] for kind, items in ordered.items()}


def count_mentions(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Counter[str]:
    """How often each text is a mention of any type.

    Args:
        sentences: Tokens and legal gold tags of each sentence.

    >>> count_mentions([(["Fever", "."], ["B-Sign", "O"]), (["No", "fever"], ["O", "B-Sign"])])
    Counter({'fever': 2})
    """
    counts: Counter[str] = Counter()
    for tokens, tags in sentences:
        row = {"gold": tags, "pred": tags}
        counts.update(mention_text(tokens, span) for span in sentence_spans(row, "conlleval")[0])
    return counts


def _sampled(chosen: Sequence[Row], labels: Sequence[str], mode: Mode, seed: int) -> dict[str, Any]:
    ids = sorted(str(row["id"]) for row in chosen)
    return {"sentences": len(ids), "seed": seed, "ids": ids, "kinds": kinds_by_type(chosen, labels, mode)}
