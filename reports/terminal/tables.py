"""Scores and statistics as terminal tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from clinspan.corpora.printable import plural
from clinspan.reports.paper.published import published
from clinspan.reports.terminal.console import PlainConsole

_WIDTH = 110
_ANNOTATIONS = (
    ("annotations", "total"),
    ("kept at their own offsets", "kept"),
    ("other ends in tokens", "other_ends"),
    ("in pieces", "discontinuous"),
    ("dropped: tokens shared", "dropped"),
)


def row_of(scores: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The scores of a type, of `macro` or of `micro`."""
    row: Mapping[str, Any] = scores[name] if name in ("macro", "micro") else scores["per_type"][name]
    return row


def bounds_of(scores: Mapping[str, Any] | None, name: str) -> tuple[float, float] | None:
    """The bounds of the interval of an F1; None if there is no interval."""
    bounds = (((scores or {}).get("intervals") or {}).get("f1") or {}).get(name)
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))


def print_scores(scores: Mapping[str, Any], record: Mapping[str, Any], *, of: int) -> None:
    """Print one row per type, macro and micro, with the paper's scores beside ours if the run is one of its cells.

    Args:
        scores: The content of `scores.json`.
        record: The content of `run.json`.
        of: Number of sentences in the whole split, which is shown if a limit was set.
    """
    console = PlainConsole(width=_WIDTH)
    console.print(score_table(scores, _title(scores, record, of), published(dict(record))))
    console.print(scores["signature"], highlight=False, markup=False, soft_wrap=True)
    for line in notes(scores, record):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def score_table(scores: Mapping[str, Any], title: str, paper: Mapping[str, tuple[float, float, float]] | None = None) -> Table:
    """A table with one row per type, macro and micro; without macro where it is None.

    Args:
        scores: `per_type`, `macro`, `micro` and `intervals` as in `scores.json`.
        title: The table's title.
        paper: The paper's precision, recall and F1 by row; None: no such columns.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("type")
    for name in ("precision", "recall", "F1", "95% interval", "support"):
        table.add_column(name, justify="right")
    for name in ("P", "R", "F1") if paper else ():
        table.add_column(f"paper {name}", justify="right")
    for label, row in scores["per_type"].items():
        table.add_row(label, *_cells(row, scores, label), str(row["support"]), *_paper(paper, label))
    table.add_section()
    for name in ("macro", "micro"):
        if scores[name] is not None:
            table.add_row(name, *_cells(scores[name], scores, name), "", *_paper(paper, name))
    return table


def failure_notes(scores: Mapping[str, Any]) -> list[str]:
    """The number of failed sentences with its causes; empty if there are none."""
    if not scores["failed"]:
        return []
    causes = ", ".join(f"{name}: {n}" for name, n in scores["failures"].items())
    return [f"failed, scored as all O: {scores['failed']} of {scores['sentences']} sentences ({causes})"]


def notes(scores: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Remarks on the scores: failures, repairs, calibration, leaks, time, tokens and cost."""
    lines = failure_notes(scores)
    if scores["repairs"]:
        lines.append("repaired in answers: " + ", ".join(f"{name} {n}" for name, n in scores["repairs"].items()))
    if scores.get("calibration"):
        summary = scores["calibration"]
        lines.append(f"confidence of {summary['entities']} predicted entities: expected calibration error {summary['ece']:.3f}")
    lines += offset_notes(scores.get("offsets"))
    lines += [f"{name}: {value:.4f}" for name, value in scores.get("more", {}).items()]
    retrieval = record.get("retrieval")
    if retrieval and "leaked_sentences" in retrieval:
        leaked, excluded = retrieval["leaked_sentences"], retrieval["excluded_chunks"]
        state = "their chunks stay in; retriever.exclude_leaks=true drops them"
        if excluded:
            state = f"{excluded} {plural(excluded, 'chunk')} left out"
        leaks = f"{leaked} of these sentences {plural(leaked, 'occurs', 'occur')} in the knowledge base"
        lines.append(f"leakage: {leaks}" + (f" ({state})" if leaked else ""))
    tokens = record.get("tokens", {})
    seconds = record.get("seconds") or 0.0
    money = f", {record['cost']:.4f} US$" if record.get("cost") is not None else ""
    spent = f"{tokens.get('prompt_tokens', 0):,} prompt and {tokens.get('answer_tokens', 0):,} answer tokens"
    spent = f"{tokens['pieces']:,} sub-word pieces, no prompt" if "pieces" in tokens else spent
    lines.append(f"{seconds:.0f} s, {spent}{money}")
    return lines


def offset_notes(offsets: Mapping[str, Any] | None) -> list[str]:
    """The score on the annotators' own character offsets and its ceiling, where tokens cannot express every annotation."""
    if offsets is None or offsets["ceiling"]["f1"] == 1:
        return []
    ceiling = offsets["ceiling"]
    causes = (("other_ends", "would end elsewhere"), ("dropped", "share tokens with others"), ("discontinuous", "are in pieces"))
    lost = ", ".join(f"{ceiling[key]} {words}" for key, words in causes if ceiling[key])
    return [
        f"on the annotators' own character offsets: F1 {offsets['micro']['f1']:.4f}; a perfect tagger reaches "
        f"{ceiling['f1']:.4f}, as of {ceiling['mentions']} annotations {lost}"
    ]


def _title(scores: Mapping[str, Any], record: Mapping[str, Any], of: int) -> str:
    corpus = record["corpus"]
    first = "" if scores.get("limit_documents") is not None or scores.get("sample") == "random" else "first "
    part = f"{first}{scores['sentences']} of {of}" if scores["sentences"] < of else f"all {of}"
    chosen = record.get("choices", {})
    words = [str(chosen.get(key)) for key in ("model", "strategy", "format", "prompt") if chosen.get(key)]
    return f"{corpus['name']} {corpus['split']} ({part} sentences): {', '.join(words)}"


def _cells(row: Mapping[str, float], scores: Mapping[str, Any], name: str) -> list[str]:
    low, high = scores["intervals"]["f1"][name]
    return [f"{row['precision']:.4f}", f"{row['recall']:.4f}", f"{row['f1']:.4f}", f"{low:.3f} - {high:.3f}"]


def _paper(paper: Mapping[str, tuple[float, float, float]] | None, name: str) -> list[str]:
    if paper is None:
        return []
    return [f"{value:.4f}" for value in paper[name]] if name in paper else ["", "", ""]


def print_statistics(statistics: Mapping[str, Any], name: str) -> None:
    """Print documents, sentences, tokens, entities and spans by split, and counts of what the conversion did."""
    labels = list(next(iter(statistics.values()))["entities"])
    table = Table(title=name, title_justify="left", caption="B-: tags that open an entity; spans: as seqeval reads the tags")
    table.add_column("")
    for split in statistics:
        table.add_column(split, justify="right")
    for row in ("documents", "sentences", "tokens"):
        table.add_row(row, *[f"{part[row]:,}" for part in statistics.values()])
    for head, key in (("B-", "entities"), ("spans", "spans")):
        table.add_section()
        for label in labels:
            table.add_row(f"{head} {label}", *[f"{part[key][label]:,}" for part in statistics.values()])
    if any(part["annotations"].get("kept") != part["annotations"].get("total") for part in statistics.values()):
        table.add_section()
        for title, key in _ANNOTATIONS:
            table.add_row(title, *[f"{part['annotations'].get(key, 0):,}" for part in statistics.values()])
    acts = sorted({act for part in statistics.values() for act in part["conversion"]})
    if acts:
        table.add_section()
    for act in acts:
        table.add_row(act, *[f"{part['conversion'].get(act, 0):,}" for part in statistics.values()])
    PlainConsole(width=_WIDTH).print(table)
