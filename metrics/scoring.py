"""The seqeval scorer: scores from the predictions of a run, or from the tags of any system."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from clinspan.corpora import InputError
from clinspan.metrics import (
    add_counts,
    calibration,
    count_sentence,
    Counts,
    document_intervals,
    judge_entities,
    Mode,
    Scores,
    signature,
)
from clinspan.metrics.full_scores import full_scores
from clinspan.metrics.offset_scores import offset_scores
from clinspan.metrics.scores import averaged


@dataclass(frozen=True, kw_only=True)
class Metric:
    """
    Attributes:
        mode: `conlleval` (seqeval's default, the paper's) or `strict` (seqeval's IOB2 mode).
    """

    mode: Mode = "conlleval"

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise InputError(f"metric.mode={self.mode} is not known", remedy="Use conlleval or strict.")

    def more(self, records: Sequence[dict[str, Any]], labels: Sequence[str]) -> dict[str, float]:
        """Further scores by name, for `more` in `scores.json`; none here. Classes of one's own may have some.

        Args:
            records: As in `score_records`.
            labels: The corpus' labels.
        """
        return {}


def score_records(
    records: Sequence[dict[str, Any]],
    labels: Sequence[str],
    metric: Metric,
    *,
    alignment: str,
    cut: Mapping[str, Any] | None = None,
    folds: str | None = None,
) -> dict[str, Any]:
    """The content of `scores.json` from the lines of `predictions.jsonl`.

    Args:
        records: One object per sentence, with `document`, `gold`, `pred`, `repairs` and `error`.
        labels: The corpus' labels; macro is the mean over those that occur in gold.
        metric: How tags are read.
        alignment: Name of the alignment, for the signature.
        cut: The rules that cut the texts, for the signature; None if they are not a choice.
        folds: The folds that the records come from, for the signature; see `metrics.signature`.
    """
    repairs: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for record in records:
        repairs.update(record["repairs"])
        if record["error"] is not None:
            failures[record["error"]] += 1
    judged = [pair for r in records for pair in judge_entities(r["gold"], r["pred"], r.get("confidence"), metric.mode)]
    tables = list(count_documents(records, labels, metric.mode).values())
    failed = sum(failures.values())
    scores = Scores(add_counts(tables, labels))
    by_offsets = offset_scores(records, labels, metric.mode)
    in_full = full_scores(records, labels, metric.mode)
    more = metric.more(records, labels)
    return {
        "signature": signature(
            mode=metric.mode,
            types=averaged(scores.macro_types, labels),
            alignment=alignment,
            failed=failed,
            sentences=len(records),
            documents=len(tables),
            cut=cut,
            folds=folds,
        ),
        **scores.as_dict(),
        "intervals": {"level": 0.95, "unit": "document", "f1": document_intervals(tables, labels)},
        "calibration": calibration(judged),
        "sentences": len(records),
        "documents": len(tables),
        "failed": failed,
        "failures": dict(failures.most_common()),
        "repairs": dict(repairs.most_common()),
        **({} if by_offsets is None else {"offsets": by_offsets}),
        **({} if in_full is None else {"full": in_full}),
        **({"more": more} if more else {}),
    }


def count_documents(records: Sequence[dict[str, Any]], labels: Sequence[str], mode: Mode) -> dict[str, dict[str, Counts]]:
    """Counts by document and label from the lines of `predictions.jsonl`."""
    documents: dict[str, list[dict[str, Counts]]] = defaultdict(list)
    for record in records:
        documents[record["document"]].append(count_sentence(record["gold"], record["pred"], labels, mode))
    return {name: add_counts(rows, labels) for name, rows in documents.items()}


def score(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    documents: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    mode: Mode = "conlleval",
) -> dict[str, Any]:
    """Score tags against gold tags, as every run is scored.

    Args:
        gold: Gold BIO tags by sentence.
        predicted: Predicted BIO tags by sentence, of the same lengths.
        documents: The document of each sentence, the unit of the intervals; None: each sentence is a document.
        labels: The labels, in the order of the result; None: those of the tags.
        mode: `conlleval` (seqeval's default) or `strict`.

    Returns:
        The content of a run's `scores.json`: `micro`, `macro`, `per_type`, `counts`, `intervals`, `signature` and so on.

    Raises:
        ValueError: Gold and predicted sentences differ in number or length.

    Examples:
        >>> score([["B-Sign", "O"]], [["B-Sign", "O"]])["micro"]["f1"]
        1.0
    """
    names = list(map(str, range(len(gold)))) if documents is None else documents
    rows: list[dict[str, Any]] = [
        {"document": name, "gold": list(truth), "pred": list(guess), "repairs": {}, "error": None}
        for name, truth, guess in zip(names, gold, predicted, strict=True)
    ]
    tag_labels = sorted({tag[2:] for tags in (*gold, *predicted) for tag in tags if tag != "O"})
    return score_records(rows, list(labels or tag_labels), Metric(mode=mode), alignment="tokens")
