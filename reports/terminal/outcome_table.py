"""What became of the gold mentions of each type, and which mentions were invented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from clinspan.metrics.errors import INVENTED, KIND_NAMES, MISSED, WRONG_BOTH, WRONG_ENDS, WRONG_TYPE

_KINDS = (WRONG_TYPE, WRONG_ENDS, WRONG_BOTH, MISSED, INVENTED)


def outcome_table(scores: Mapping[str, Any], errors: Mapping[str, Any]) -> Table:
    """Numbers of correct mentions and of errors by kind, one row per type and their sum.

    Args:
        scores: The content of `scores.json`.
        errors: The content of `errors.json`. A wrong type counts for the gold type.
    """
    table = Table(title="mentions; a wrong type counts for the gold type", title_justify="left")
    table.add_column("type")
    for name in ("correct", *(KIND_NAMES[kind] for kind in _KINDS)):
        table.add_column(name, justify="right")
    correct = {label: counts["matched"] for label, counts in scores["counts"].items()}
    for label, number in correct.items():
        table.add_row(label, *_cells(number, errors["kinds"][label]))
    table.add_section()
    table.add_row("all", *_cells(sum(correct.values()), errors["kinds"]["total"]))
    return table


def _cells(correct: int, kinds: Mapping[str, int]) -> list[str]:
    return [f"{number:,}" for number in (correct, *(kinds[kind] for kind in _KINDS))]
