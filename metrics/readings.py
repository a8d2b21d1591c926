"""Readings of tags: what is counted in the lines of a run's predictions, and when it is right.

- `exact`: entities of the same type with the same first and last token, the scores of every run.
- `relaxed`: entities of the same type that share at least one token, paired one to one (`overlap` in `metrics.relaxed`).
- `type_free`: entities with the same first and last token, of any type (`exact_any_type` there).
- `token`: tokens inside an entity of the same type; whether the entity begins at the token does not matter.
- `document`: sets of (document, type, text of the mention).
- `offsets`: entities against the annotations as they were made, by type and character offsets (`metrics.offset_scores`).
- `full`: mentions with all their pieces, nested and overlapping ones too (`metrics.full_scores`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, Literal

from clinspan.corpora import InputError
from clinspan.metrics.counts import add_counts, Counts, Mode
from clinspan.metrics.full_scores import count_full_documents, flat_limits, has_full
from clinspan.metrics.intervals import document_intervals
from clinspan.metrics.offset_scores import annotated_mentions, count_mentions, offset_scores, tagged_mentions
from clinspan.metrics.relaxed import count_pairs, document_counts, Row, sentence_spans
from clinspan.metrics.scores import averaged, Scores, signature
from clinspan.metrics.scoring import Metric, score_records

Match = Literal["exact", "relaxed", "type_free", "token", "document", "offsets", "full"]
MATCHES: tuple[Match, ...] = get_args(Match)
ANY_TYPE = "any type"
"""The only row of a reading that ignores types."""
_UNITS = {"token": "token", "document": "mention", "full": "mention"}


def check_match(match: str, known: Sequence[str] = MATCHES) -> None:
    """Refuse a reading that is not among the known ones.

    Raises:
        InputError: It is not; the message lists them.
    """
    if match not in known:
        raise InputError(f"match={match} is not known", remedy=f"Use one of {', '.join(known)}.")


def has_offsets(records: Sequence[Row]) -> bool:
    """Whether the predictions have what `offsets` needs: characters of the tokens and mentions of the annotators."""
    return bool(records) and all(row.get("mentions") is not None and row.get("offsets") is not None for row in records)


def score_reading(
    records: Sequence[dict[str, Any]],
    labels: Sequence[str],
    metric: Metric,
    match: Match,
    *,
    alignment: str,
    cut: Mapping[str, str] | None = None,
    folds: str | None = None,
) -> dict[str, Any]:
    """Score the lines of `predictions.jsonl` in one reading.

    Args:
        records: The lines.
        labels: The corpus' labels.
        metric: How tags are read.
        match: The reading.
        alignment: Name of the alignment, for the signature.
        cut: The rules that cut the texts, for the signature; None if they are not a choice.
        folds: The folds that the lines come from, for the signature; see `metrics.signature`.

    Returns:
        `match`, `mode` and the keys of `scores.json`; for `exact` all of them. `macro` is None where types are ignored.

    Raises:
        InputError: The reading is not known, or is `offsets` or `full` and the predictions have not what it needs.
    """
    check_match(match)
    about = {"match": match, "mode": metric.mode}
    if match == "exact":
        return about | score_records(records, labels, metric, alignment=alignment, cut=cut, folds=folds)
    if match == "offsets" and not has_offsets(records):
        remedy = "Its corpus has tags alone: use another reading."
        raise InputError("match=offsets needs the annotators' character offsets, which the predictions do not have", remedy=remedy)
    if match == "full" and not has_full(records):
        remedy = "Run it again with corpus.mentions=full, or use another reading."
        raise InputError("match=full needs the gold mentions in full, which the predictions do not have", remedy=remedy)
    tables = count_reading(records, labels, metric.mode, match)
    scores = summed(tables, labels, types=match != "type_free")
    failures = Counter(row["error"] for row in records if row["error"] is not None)
    signed = signature(
        mode=metric.mode,
        types=averaged(scores["macro_types"], labels) if match != "type_free" else "1",
        alignment=alignment,
        failed=failures.total(),
        sentences=len(records),
        documents=len(tables),
        cut=cut,
        folds=folds,
        unit=_UNITS.get(match, "entity"),
        match=match,
        average="micro" if match == "type_free" else "macro",
    )
    by_offsets = offset_scores(records, labels, metric.mode) if match == "offsets" else None
    return {
        **about,
        "signature": signed,
        **scores,
        "sentences": len(records),
        "documents": len(tables),
        "failed": failures.total(),
        "failures": dict(failures.most_common()),
        **({} if by_offsets is None else {"ceiling": by_offsets["ceiling"]}),
        **({"flat": flat_limits(records, labels, metric.mode)} if match == "full" else {}),
    }


def summed(tables: Mapping[str, Mapping[str, Counts]], labels: Sequence[str], *, types: bool) -> dict[str, Any]:
    """Scores with intervals from counts by document and label; without types the only label is `ANY_TYPE`, and `macro` is None."""
    names = list(labels) if types else [ANY_TYPE]
    full = [{name: table.get(name, Counts()) for name in names} for table in tables.values()]
    scores = Scores(add_counts(full, names)).as_dict()
    return {
        **scores,
        "macro": scores["macro"] if types else None,
        "macro_types": scores["macro_types"] if types else [],
        "intervals": {"level": 0.95, "unit": "document", "f1": document_intervals(full, names)},
    }


def count_reading(records: Sequence[Row], labels: Sequence[str], mode: Mode, match: Match) -> dict[str, dict[str, Counts]]:
    """Counts by document and label in a reading other than `exact`.

    Raises:
        ValueError: A line has unequal numbers of gold and predicted tags.
    """
    if match == "full":
        return count_full_documents(records, labels, mode)
    documents: dict[str, list[Row]] = defaultdict(list)
    for row in records:
        documents[row["document"]].append(row)
    return {name: _document(rows, labels, mode, match) for name, rows in documents.items()}


def _document(rows: Sequence[Row], labels: Sequence[str], mode: Mode, match: Match) -> dict[str, Counts]:
    if match == "document":
        return document_counts(rows, labels, mode)
    if match == "offsets":
        return count_mentions(annotated_mentions(rows), tagged_mentions(rows, "pred", mode), labels)
    names = [ANY_TYPE] if match == "type_free" else labels
    return add_counts([_SENTENCES[match](row, mode) for row in rows], names)


def _relaxed(row: Row, mode: Mode) -> dict[str, Counts]:
    truth, guess = sentence_spans(row, mode)
    table = {}
    for label in {span[0] for span in truth | guess}:
        left, right = ({span[1:] for span in spans if span[0] == label} for spans in (truth, guess))
        table[label] = Counts(count_pairs(left, right)[1], len(right), len(left))
    return table


def _type_free(row: Row, mode: Mode) -> dict[str, Counts]:
    truth, guess = ({span[1:] for span in spans} for spans in sentence_spans(row, mode))
    return {ANY_TYPE: Counts(len(truth & guess), len(guess), len(truth))}


def _token(row: Row, mode: Mode) -> dict[str, Counts]:
    truth, guess = (
        {(label, n) for label, first, last in spans for n in range(first, last + 1)} for spans in sentence_spans(row, mode)
    )
    sizes = [Counter(label for label, _ in tokens) for tokens in (truth & guess, guess, truth)]
    return {label: Counts(*(size[label] for size in sizes)) for label in {label for label, _ in truth | guess}}


_SENTENCES: dict[str, Callable[[Row, Mode], dict[str, Counts]]] = {"relaxed": _relaxed, "type_free": _type_free, "token": _token}
