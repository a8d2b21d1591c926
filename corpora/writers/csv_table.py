"""Writer of CSV tables: UTF-8, quoted by the csv module, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

Cell = str | int | float | None
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(cell: Cell) -> Cell:
    """The cell, with a leading apostrophe if it is a text that a spreadsheet would take for a formula.

    >>> guarded("=1+1"), guarded("-itis"), guarded("rash"), guarded(-1)
    ("'=1+1", "'-itis", 'rash', -1)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def unguarded(cell: str) -> str:
    """The text of a cell without the apostrophe that `guarded` gives.

    >>> unguarded("'=1+1"), unguarded("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith(tuple(f"'{sign}" for sign in _FORMULA)) else cell


def csv_lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Rows of cells as lines of CSV; None is an empty cell, and lines end with a line feed."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8", "backslashreplace")


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table row by row, below its head."""
    with path.open("wb") as file:
        file.write(csv_lines([head]))
        for row in rows:
            file.write(csv_lines([row]))
