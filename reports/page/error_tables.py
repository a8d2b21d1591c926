"""Error analysis as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clinspan.corpora.printable import plural
from clinspan.metrics.analysis import NONE
from clinspan.metrics.errors import KIND_NAMES, KINDS
from clinspan.reports.run_views import Cell, Table
from clinspan.reports.terminal.tables import shown_f1

_READINGS = {
    "exact": "exact: type and both ends",
    "partial": "partial: an overlap of the same type counts one half",
    "overlap": "overlap: same type, one token shared",
    "exact_any_type": "exact ends of any type",
    "partial_any_type": "partial, of any type",
    "document": "document: (document, type, text)",
}
_BREAKDOWNS = {
    "span_length": ("length of the mention", "tokens"),
    "sentence_length": ("length of the sentence", "tokens"),
    "rarity": ("rarity of the mention", "gold mentions of that text in train"),
    "seen": ("mentions seen in train", "text of a mention in train"),
}


def analysis_tables(analysis: Mapping[str, Any]) -> list[Table]:
    """The analysis as tables. Notes on how to read them stand below the first; tables that quote the corpus have `quotes` set.

    Args:
        analysis: The content of `errors.json`.
    """
    first = kinds_table("Errors by kind", analysis["kinds"], analysis["sentences"])
    return [
        replace(first, notes=[*first.notes, *[f"{note[:1].upper()}{note[1:]}." for note in analysis.get("notes", ())]]),
        *_sample_tables(analysis),
        _confusion_table(analysis),
        *[_breakdown_table(name, bins) for name, bins in analysis["breakdowns"].items()],
        _scores_table(analysis),
        *[_frequent_table(kind, rows) for kind, rows in analysis["frequent"].items() if rows],
    ]


def kinds_table(title: str, kinds: Mapping[str, Mapping[str, int]], sentences: int) -> Table:
    """Table of errors by type and kind, with the share of each kind in all errors."""
    total = kinds["total"]
    number = sum(total.values())
    rows: list[list[Cell]] = [[label, *[row[kind] for kind in KINDS], sum(row.values())] for label, row in kinds.items()]
    rows.append(["share", *[total[kind] / number if number else None for kind in KINDS], None])
    return Table(
        title=f"{title}, {sentences:,} {plural(sentences, 'sentence')}",
        columns=["", *[KIND_NAMES[kind] for kind in KINDS], "all"],
        rows=rows,
        notes=[
            "A wrong type counts for the gold type. Every unmatched span is in exactly one error.",
            "The paper's Figure 4 calls them Inaccurate Boundary (wrong ends), Wrong Type, False Negative (missed) and False "
            "Positive (invented); it has no name for wrong ends and type.",
        ],
    )


def _sample_tables(analysis: Mapping[str, Any]) -> list[Table]:
    sample = analysis.get("sample")
    if not sample or sample["sentences"] == analysis["sentences"]:
        return []
    return [kinds_table(f"Errors of random sentences (seed {sample['seed']})", sample["kinds"], sample["sentences"])]


def _confusion_table(analysis: Mapping[str, Any]) -> Table:
    table = analysis["confusion"]
    columns = [name for name in table if name != NONE] + [NONE]
    rows: list[list[Cell]] = [
        [gold, *[None if gold == pred == NONE else table[gold][pred] for pred in columns]] for gold in columns
    ]
    note = "Rows: gold type, columns: predicted type of spans that overlap; none: missed (column) and invented (row)."
    return Table(title="Confusion of types", columns=["gold \\ predicted", *columns], rows=rows, notes=[note])


def _breakdown_table(name: str, bins: Mapping[str, Mapping[str, float]]) -> Table:
    title, head = _BREAKDOWNS.get(name, (name, name))
    rows: list[list[Cell]] = [
        [key, int(r["gold"]), int(r["pred"]), r["precision"], r["recall"], r["f1"]] for key, r in bins.items()
    ]
    columns = [head, "gold", "predicted", "precision", "recall", "F1"]
    return Table(title=f"Exact scores by {title}", columns=columns, rows=rows)


def _scores_table(analysis: Mapping[str, Any]) -> Table:
    labels: Sequence[str] = analysis["labels"]
    rows: list[list[Cell]] = []
    for name, description in _READINGS.items():
        scores = analysis["scores"][name]
        micro = scores.get("micro", scores)
        macro = scores["macro"]["f1"] if "macro" in scores else None
        types = [shown_f1(scores, label) if "per_type" in scores else None for label in labels]
        rows.append([description, micro["precision"], micro["recall"], micro["f1"], macro, *types])
    columns = ["reading", "micro P", "micro R", "micro F1", "macro F1", *labels]
    return Table(
        title="Relaxed scores", columns=columns, rows=rows, notes=["Under each type: its F1. Spans are paired one to one."]
    )


def _frequent_table(kind: str, mentions: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[list[Cell]] = [[row["text"], row["type"], row["count"]] for row in mentions]
    title = f"Most frequent {kind} mentions"
    return Table(title=title, columns=["text", "type", "count"], rows=rows, quotes=True)
