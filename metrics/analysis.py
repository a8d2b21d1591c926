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
    """Everything that can be said of a run's errors from its predictions, as plain JSON values.

    Args:
        rows: Lines of `predictions.jsonl`: `id`, `document`, `tokens`, `gold` and `pred`, one tag a token.
        labels: The corpus' labels.
        mode: How tags are read; that of the scores beside which the analysis stands.
        train: How often each text is a gold mention of the train split, see `count_mentions`; None leaves rarity out.
        sample: Of so many random sentences the kinds are also counted alone, as the paper did with 50; None: of none.
        seed: Of that choice, which depends on nothing but the seed and the sentences' ids: two systems get the same.
        mentions: How many missed and invented mentions are listed.

    Returns:
        `kinds` (by type, and in `total`), `sample` (the same of the random sentences, and which those are, or None),
        `confusion`, `breakdowns`, `frequent` and `scores`. `frequent` holds words of the corpus; nothing else does.

    Raises:
        ValueError: A row has not as many gold as predicted tags, or the mode is `strict` and a tag is none of IOB2.
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
    """`size` random sentences (all if there are no more), the same for the same ids and seed, in whatever order they come.

    >>> rows = [{"id": f"a:{n}"} for n in range(9)]
    >>> choose_sample(rows, 3, 1) == choose_sample(rows[::-1], 3, 1)
    True
    """
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    return ordered if size >= len(ordered) else random.Random(seed).sample(ordered, size)


def kinds_by_type(rows: Sequence[Row], labels: Sequence[str], mode: Mode) -> dict[str, dict[str, int]]:
    """How many errors of each kind each type has, and `total`; every unmatched span is in exactly one error.

    A wrong type counts for the gold type. See `metrics.errors.SpanError` for the kinds.
    """
    found = count_errors([(row["gold"], row["pred"]) for row in rows], mode)
    table: dict[str, dict[str, int]] = {label: {kind: found[kind, label] for kind in KINDS} for label in labels}
    return table | {"total": {kind: sum(table[label][kind] for label in labels) for kind in KINDS}}


def confusion(rows: Sequence[Row], labels: Sequence[str], mode: Mode) -> dict[str, dict[str, int]]:
    """Gold type by predicted type of spans that overlap, whatever their bounds, and `none` for spans without a partner.

    Partners are those of `metrics.errors.classify`, one to one, the exactly matched among them: a row adds up to a type's
    gold spans, a column to its predicted ones.

    Of more than a hundred types only those that occur are in the table.

    Returns:
        `table[gold][pred]`; `table["none"][pred]` were invented, `table[gold]["none"]` missed.
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
    """The texts and types that were missed and those that were invented most often, by falling count, then by text."""
    counts: dict[ErrorKind, Counter[tuple[str, str]]] = {MISSED: Counter(), INVENTED: Counter()}
    for row in rows:
        for error in classify(row["gold"], row["pred"], mode):
            span = error.gold or error.pred
            if error.kind in counts and span is not None:
                counts[error.kind][mention_text(row["tokens"], span), span[0]] += 1
    ordered = {kind: sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most] for kind, found in counts.items()}
    return {kind: [{"text": text, "type": label, "count": n} for (text, label), n in found] for kind, found in ordered.items()}


def count_mentions(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Counter[str]:
    """How often each text is a mention, of whatever type.

    Args:
        sentences: Tokens and legal gold tags, as corpora have them.

    >>> count_mentions([(["Fever", "."], ["B-Sign", "O"]), (["No", "fever"], ["O", "B-Sign"])])
    Counter({'fever': 2})
    """
    found: Counter[str] = Counter()
    for tokens, tags in sentences:
        row = {"gold": tags, "pred": tags}
        found.update(mention_text(tokens, span) for span in sentence_spans(row, "conlleval")[0])
    return found


def _sampled(chosen: Sequence[Row], labels: Sequence[str], mode: Mode, seed: int) -> dict[str, Any]:
    ids = sorted(str(row["id"]) for row in chosen)
    return {"sentences": len(ids), "seed": seed, "ids": ids, "kinds": kinds_by_type(chosen, labels, mode)}
