"""Scores of one reading, or of several readings in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from clinspan.reports.terminal.console import PlainConsole
from clinspan.reports.terminal.tables import (
    bounds_of,
    failure_notes,
    full_notes,
    interval_notes,
    interval_words,
    limit_words,
    macro_name,
    offset_notes,
    score_table,
)
from clinspan.reports.wording import scored_words

_WIDTH = 110


def print_reading(scores: Mapping[str, Any], title: str, remarks: Sequence[str] = ()) -> None:
    """Print the scores of one reading by type, its signature and remarks.

    Args:
        scores: What `metrics.readings.score_reading` or `metrics.mention_scores.score_mentions` gives.
        title: What was scored.
        remarks: Lines to add.
    """
    console = PlainConsole(width=_WIDTH)
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    console.print(score_table(scores, ""))
    by_offsets = scores if "ceiling" in scores else scores.get("offsets")
    full = [limit_words(scores["flat"])] if "flat" in scores else full_notes(scores)
    for line in (scored_words(scores), *_notes(scores), *offset_notes(by_offsets), *full, *remarks):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_readings(readings: Sequence[Mapping[str, Any]], title: str, remarks: Sequence[str] = ()) -> None:
    """Print one row per reading: micro scores with the interval of F1, macro F1 and the number of gold items.

    Args:
        readings: The scores of each reading.
        title: What was scored.
        remarks: Lines to add.
    """
    table = Table()
    table.add_column("match")
    modes = any("mode" in scores for scores in readings)
    if modes:
        table.add_column("mode")
    for name in ("precision", "recall", "micro F1", "95% interval", "macro F1", "support"):
        table.add_column(name, justify="right")
    for scores in readings:
        micro, macro = scores["micro"], scores["macro"]
        cells = [f"{micro[key]:.4f}" for key in ("precision", "recall", "f1")]
        support = sum(row["support"] for row in scores["per_type"].values())
        mean = "" if macro is None else f"{macro['f1']:.4f}"
        table.add_row(
            scores["match"],
            *([scores["mode"]] if modes else []),
            *cells,
            interval_words(bounds_of(scores, "micro")),
            mean,
            str(support),
        )
    console = PlainConsole(width=_WIDTH)
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    averaged = [macro_name(scores) for scores in readings if scores["macro"] is not None][:1]
    for line in (*averaged, *_notes(readings[0], types=False), *remarks):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _notes(scores: Mapping[str, Any], *, types: bool = True) -> list[str]:
    missing = interval_notes(scores, "score more documents")
    few = [line for line in missing if types or line.startswith("too few")]
    return few + (failure_notes(scores) if "failed" in scores else [])
