"""Rows of CSV and TSV files with a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.listing import kind

SUFFIXES = (".csv", ".tsv")
_MOST_CHARACTERS = 2**31 - 1  # of a field; the library's own limit is shorter than many notes


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line on which it ends, its header and its fields."""

    line: int
    header: tuple[str, ...]
    fields: Sequence[str]

    def get(self, names: Sequence[str]) -> str:
        """The field under the first of these names that the header has; empty if it has none."""
        column = column_of(self.header, names)
        return "" if column is None else self.fields[column]


def column_of(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The index of the first of these names that a header has, or None.

    >>> column_of(("id", "text"), ("document", "id"))
    0
    """
    return next((header.index(name) for name in names if name in header), None)


def header_of(path: Path) -> tuple[str, ...]:
    """The columns of a file in lower case; none if its first row is not a row of a table."""
    try:
        return _header(next(_reader(path, read_text(path)), []))
    except csv.Error:
        return ()


def read_table(path: Path) -> Iterator[Row]:
    """Yield the rows of a file except empty ones. A `.tsv` is divided by tabs, a `.csv` by commas, semicolons, tabs or bars.

    Raises:
        InputError: A row has more or fewer fields than the header, or a quotation mark is not closed.
    """
    rows = _reader(path, read_text(path))
    try:
        header = _header(next(rows, []))
        for fields in rows:
            if not any(fields):
                continue
            if len(fields) != len(header):
                problem = f"has {len(fields)} fields, but the header has {len(header)}"
                remedy = "Put fields with the delimiter, quotation marks or line ends inside quotation marks."
                raise InputError(problem, path=path, line=rows.line_num, remedy=remedy)
            yield Row(rows.line_num, header, fields)
    except csv.Error:
        remedy = "Close each quotation mark, and double those inside a field."
        raise InputError("is not a table", path=path, line=rows.line_num, remedy=remedy) from None


def _reader(path: Path, text: str) -> Any:
    csv.field_size_limit(_MOST_CHARACTERS)
    text = text.removeprefix("\ufeff")
    delimiter = "\t" if kind(path) == ".tsv" else max(",;\t|", key=text.partition("\n")[0].count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _header(fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip().casefold() for name in fields)
