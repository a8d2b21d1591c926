"""A run's scores as tables for the page, in the shape of the paper's Tables 2 and 3, with its figures beside ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from clinspan.metrics import count_errors
from clinspan.metrics.errors import ErrorKind
from clinspan.metrics.intervals import LEAST_DOCUMENTS
from clinspan.reports.paper.published import published, Triple
from clinspan.reports.run_views import Cell, Group, RunView, Table
from clinspan.reports.terminal.tables import bounds_of, macro_name, notes, row_of, shown_f1
from clinspan.reports.wording import reading_words, scored_words, size_words, too_few

_AVERAGES = ("macro", "micro")


def score_table(view: RunView) -> Table:
    """Scores and interval by type, then macro and micro; if the paper has the cell, also its scores and the difference in F1."""
    paper = published(dict(view.job.record))
    paper_columns = ("paper P", "paper R", "paper F1", "F1 − paper") if paper else ()
    columns = ("type", "P", "R", "F1", "95 % interval", "support", *paper_columns)
    scores = view.scores
    rows: list[list[Cell]] = []
    for name in (*view.labels, *_AVERAGES):
        row = row_of(scores, name)
        figures: list[Cell] = ["-"] * 3
        if shown_f1(scores, name) is not None:
            figures = [float(row[key]) for key in ("precision", "recall", "f1")]
        cells: list[Cell] = [name, *figures, _interval(scores, name), row.get("support")]
        rows.append(cells + (_beside(paper, name, float(row["f1"])) if paper else []))
    source = ["paper: arXiv 2407.00731, Tables 2 and 3."] if paper else []
    return Table(title="Scores", columns=columns, rows=rows, notes=[f"{macro_name(scores)}.", *source])


def facts(view: RunView) -> list[str]:
    """Remarks on the scores: how they were computed first, then failures, repairs, leaks, time, tokens and cost."""
    return [scored_words(view.scores), *notes(view.scores, view.job.record)]


def overview(group: Group) -> Table:
    """Table of all runs of a group: averages, F1 by type, and tokens, seconds and cost."""
    costs = any(view.job.record.get("cost") is not None for view in group.runs)
    spent_on = ("tokens a sentence", "seconds", *(["US$"] if costs else []))
    columns = ("run", "what", "micro F1", "95 % interval", "macro F1", *group.labels, *spent_on)
    rows: list[list[Cell]] = []
    for view in group.runs:
        scores, record = view.scores, view.job.record
        types: list[Cell] = [_or_none(shown_f1(scores, label)) for label in group.labels]
        averages: list[Cell] = [float(scores["micro"]["f1"]), _interval(scores, "micro"), _or_none(shown_f1(scores, "macro"))]
        spent: list[Cell] = [_whole(view.tokens_per_sentence), _whole(record.get("seconds"))]
        spent += [record.get("cost")] if costs else []
        rows.append([view.number, view.name, *averages, *types, *spent])
    first = group.runs[0].scores
    reason = too_few(first.get("documents", LEAST_DOCUMENTS))
    about = [f"{reading_words(str(first['signature']))}; {size_words(first)}.", *([f"{reason}."] if reason else [])]
    return Table(title="Runs", columns=columns, rows=rows, notes=["Under each type: its F1.", *about])


def errors_of(view: RunView) -> Counter[tuple[ErrorKind, str]]:
    """Count the errors in a run's predictions by kind and label."""
    return count_errors(((row["gold"], row["pred"]) for row in view.rows), view.mode)


def _interval(scores: Mapping[str, Any], name: str) -> str:
    bounds = bounds_of(scores, name)
    return f"{bounds[0]:.3f} – {bounds[1]:.3f}" if bounds else "-"


def _or_none(value: float | None) -> Cell:
    return "-" if value is None else value


def _beside(paper: Mapping[str, Triple], name: str, f1: float) -> list[Cell]:
    """The paper's figures and our F1 minus its F1; None in each cell if the paper gives none.

    >>> _beside({"Sign": (0.5, 0.5, 0.5)}, "Sign", 0.75)
    [0.5, 0.5, 0.5, '+0.2500']
    """
    return [*paper[name], f"{f1 - paper[name][2]:+.4f}"] if name in paper else [None] * 4


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
