"""Scores of one reading, or of several readings in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from clinspan.reports.terminal.console import PlainConsole
from clinspan.reports.terminal.tables import failure_notes, offset_notes, score_table

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
    failed = failure_notes(scores) if "failed" in scores else []
    by_offsets = scores if "ceiling" in scores else scores.get("offsets")
    for line in (scores["signature"], *failed, *offset_notes(by_offsets), *remarks):
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
        low, high = scores["intervals"]["f1"].get("micro", (0.0, 0.0))
        cells = [f"{micro[key]:.4f}" for key in ("precision", "recall", "f1")]
        support = sum(row["support"] for row in scores["per_type"].values())
        mean = "" if macro is None else f"{macro['f1']:.4f}"
        table.add_row(scores["match"], *([scores["mode"]] if modes else []), *cells, f"{low:.3f} - {high:.3f}", mean, str(support))
    console = PlainConsole(width=_WIDTH)
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    failed = failure_notes(readings[0]) if "failed" in readings[0] else []
    for line in (*failed, *remarks):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
