"""A list of runs as a plain table: one line each, at most 110 columns, control characters escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rich.cells import cell_len, chop_cells

from clinspan.corpora.printable import printable

WIDTH = 110
_HEADS = ("date", "name", "command", "corpus", "split", "model", "strategy", "format", "n", "F1", "tags", "state")
_RIGHT = ("n", "F1")
_WHOLE = ("date", "command", "split", "n", "F1", "state")
"""Columns that are never cut."""
_LEAST = 4


class Run(Protocol):
    """What the table reads of a run."""

    @property
    def date(self) -> str: ...
    @property
    def called(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def corpus(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def strategy(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def sentences(self) -> int | None: ...
    @property
    def micro_f1(self) -> float | None: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def state(self) -> str: ...


def run_table(runs: Sequence[Run]) -> list[str]:
    """The lines of the table, with a line of heads; none for no runs. Columns without a value are left out.

    Long texts are cut, the widest column first, until a line fits.
    """
    if not runs:
        return []
    columns = dict(zip(_HEADS, zip(*map(_cells, runs), strict=True), strict=True))
    shown = {head: cells for head, cells in columns.items() if any(cells)}
    widths = {head: max(map(cell_len, (head, *cells))) for head, cells in shown.items()}
    gap = 2 if sum(widths.values()) + 2 * (len(widths) - 1) <= WIDTH else 1
    over = sum(widths.values()) + gap * (len(widths) - 1) - WIDTH
    flexible = [head for head in widths if head not in _WHOLE]
    while over > 0 and flexible and (widest := max(flexible, key=widths.__getitem__)) and widths[widest] > _LEAST:
        widths[widest] -= 1
        over -= 1
    rows = [tuple(shown), *zip(*shown.values(), strict=True)]
    lines = [[_fitted(cell, widths[head], head) for head, cell in zip(shown, row, strict=True)] for row in rows]
    return [_cut((" " * gap).join(line).rstrip(), WIDTH) for line in lines]


def one_line(text: str) -> str:
    r"""A text on one line, with control characters escaped.

    >>> one_line("a\nb")
    'a\\nb'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _cells(run: Run) -> tuple[str, ...]:
    number = "" if run.sentences is None else str(run.sentences)
    f1 = "" if run.micro_f1 is None else f"{run.micro_f1:.4f}"
    texts = (run.date, run.called, run.command, run.corpus, run.split, run.model, run.strategy, run.format)
    return tuple(map(one_line, (*texts, number, f1, ",".join(run.tags), run.state)))


def _fitted(cell: str, width: int, head: str) -> str:
    cell = _cut(cell, width)
    padding = " " * (width - cell_len(cell))
    return padding + cell if head in _RIGHT else cell + padding


def _cut(text: str, width: int) -> str:
    """The beginning of a text; a mark shows that it goes on.

    >>> _cut("few_shot", 8), _cut("few_shot", 5)
    ('few_shot', 'few_…')
    """
    return text if cell_len(text) <= width else chop_cells(text, width - 1)[0] + "…"
